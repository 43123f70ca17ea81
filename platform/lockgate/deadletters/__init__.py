"""An operator's work on dead letters: read them, count them, show one, send chosen ones back."""
