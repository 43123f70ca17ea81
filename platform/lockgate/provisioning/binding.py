"""Access control lists as they are in the cluster: what they are about, and what they take away."""

from __future__ import annotations

from collections.abc import Set

import attrs

from lockgate.contracts.derive import Acl

__all__ = ["Binding"]


@attrs.frozen(order=True)
class Binding:
    """Describe an ACL as it is in the cluster, whoever made it."""

    principal: str
    """With its type: `User:orders-service`."""
    host: str
    resource: str
    name: str
    pattern: str
    operation: str
    permission: str

    @classmethod
    def of(cls, acl: Acl) -> Binding:
        """Return the binding that grants a right from the contracts."""
        return cls(f"User:{acl.principal}", "*", acl.resource, acl.name, acl.pattern, acl.operation, "ALLOW")

    def covers(self, resource: str, name: str) -> bool:
        """Return whether the binding is about this resource."""
        if self.resource != resource:
            return False
        return name.startswith(self.name) if self.pattern == "PREFIXED" else self.name in ("*", name)

    def covers_any(self, resources: Set[tuple[str, str]]) -> bool:
        """Return whether the binding is about one of these (type, name) resources."""
        if self.pattern == "LITERAL" and self.name != "*":
            return (self.resource, self.name) in resources
        return any(self.covers(resource, name) for resource, name in resources)

    def takes_away(self, granted: Binding) -> bool:
        """Return whether this is a denial that keeps a granted right from working."""
        return (
            self.permission == "DENY"
            and self.principal in (granted.principal, "User:*")
            and self.covers(granted.resource, granted.name)
            # READ and WRITE imply DESCRIBE, and clients ask for it
            and self.operation in (granted.operation, "ALL", "DESCRIBE")
        )

    def __str__(self) -> str:
        verb = "may" if self.permission == "ALLOW" else "may not"
        # librdkafka calls the cluster itself a broker
        resource = "cluster" if self.resource == "BROKER" else self.resource.lower().replace("_", " ")
        name = self.name if self.pattern == "LITERAL" else f"{self.name}*"
        host = "" if self.host == "*" else f" from {self.host}"
        return f"{self.principal.removeprefix('User:')} {verb} {self.operation} {resource} {name}{host}"
