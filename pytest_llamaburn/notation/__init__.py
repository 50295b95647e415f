"""Written music: ABC notation read into notes, checked, and written as MIDI; no sound here."""
