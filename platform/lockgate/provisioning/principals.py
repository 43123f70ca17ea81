"""What `apply` does to users, their rights and their credentials files."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

import attrs

from lockgate.contracts.derive import Acl, Principal
from lockgate.provisioning.binding import Binding
from lockgate.provisioning.change import Action, Change, Kind, Risk, State

__all__ = ["CreateAcl", "CreateUser", "RevokeAcl", "SetPassword", "WriteCredentials", "acl_text"]

_Right = TypeVar("_Right", Acl, Binding)


@attrs.frozen
class _PrincipalChange(Change):
    principal: Principal

    @property
    def name(self) -> str:
        return self.principal.name

    @property
    def declared(self) -> str:
        return str(self.principal.location)


@attrs.frozen
class CreateUser(_PrincipalChange):
    """Create a SCRAM user."""

    kind: ClassVar[Kind] = "user"
    keep_password: bool
    """Whether its credentials file has a password already, which then becomes the user's."""

    @property
    def action(self) -> Action:
        """Return `create`."""
        return "create"

    @property
    def details(self) -> tuple[str, ...]:
        """Return the kind of principal and where its password comes from."""
        password = "the password of its credentials file" if self.keep_password else "a new password"
        return (self.principal.kind, password)

    @property
    def after(self) -> State:
        """Return the mechanism and where the password comes from."""
        return {"mechanism": "SCRAM-SHA-512", "password": "kept" if self.keep_password else "new"}


@attrs.frozen
class SetPassword(_PrincipalChange):
    """Give an existing user a new password."""

    kind: ClassVar[Kind] = "user"
    reason: str

    @property
    def details(self) -> tuple[str, ...]:
        """Return what is done and why."""
        return ("set a new password", self.reason)

    @property
    def before(self) -> State:
        """Return the mechanism, and that there is a password."""
        return {"mechanism": "SCRAM-SHA-512", "password": "lost"}

    @property
    def after(self) -> State:
        """Return the mechanism, and that the password will be a new one."""
        return {"mechanism": "SCRAM-SHA-512", "password": "new"}

    @property
    def risk(self) -> Risk:
        """Return what happens to processes that have the old password."""
        return Risk("high", "processes that hold the old password cannot log in again until they have the new file")


@attrs.frozen
class WriteCredentials(_PrincipalChange):
    """Write a principal's credentials files anew; its password stays."""

    kind: ClassVar[Kind] = "credentials"
    reasons: tuple[str, ...]

    @property
    def details(self) -> tuple[str, ...]:
        """Return what is out of date in the files."""
        return ("write anew, same password", *self.reasons)

    @property
    def before(self) -> State:
        """Return what is out of date."""
        return {"outdated": list(self.reasons)}

    @property
    def after(self) -> State:
        """Return that nothing will be."""
        return {"outdated": []}


@attrs.frozen
class _RightChange(Change, Generic[_Right]):
    kind: ClassVar[Kind] = "acl"
    right: _Right
    origin: str
    """Where the principal is declared, or was retired."""

    @property
    def declared(self) -> str:
        return self.origin

    @property
    def details(self) -> tuple[str, ...]:
        return ()  # the name says it all


@attrs.frozen
class CreateAcl(_RightChange[Acl]):
    """Grant one right."""

    @property
    def action(self) -> Action:
        """Return `create`."""
        return "create"

    @property
    def name(self) -> str:
        """Return principal, operation and resource in one phrase."""
        return acl_text(self.right)

    @property
    def after(self) -> State:
        """Return the binding's fields."""
        return _fields(Binding.of(self.right))


@attrs.frozen
class RevokeAcl(_RightChange[Binding]):
    """Take a right away that Lockgate granted, and that the contracts no longer give."""

    @property
    def action(self) -> Action:
        """Return `delete`."""
        return "delete"

    @property
    def name(self) -> str:
        """Return principal, operation and resource in one phrase."""
        return str(self.right)

    @property
    def before(self) -> State:
        """Return the binding's fields."""
        return _fields(self.right)

    @property
    def risk(self) -> Risk:
        """Return what happens to a process that still uses the right."""
        return Risk("high", "a process that still uses it is refused from then on")


def acl_text(acl: Acl) -> str:
    """Return a binding as one phrase: `orders-service may READ topic orders`."""
    resource = acl.resource.lower().replace("_", " ")
    name = acl.name if acl.pattern == "LITERAL" else f"{acl.name}*"
    return f"{acl.principal} may {acl.operation} {resource} {name}"


def _fields(binding: Binding) -> State:
    return attrs.asdict(binding) | {"principal": binding.principal.removeprefix("User:")}
