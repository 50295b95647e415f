"""Property tests judge what is true, never how fast the machine is."""

import hypothesis

hypothesis.settings.register_profile("unit", deadline=None)
hypothesis.settings.load_profile("unit")
