"""Images and libraries with a known answer."""
