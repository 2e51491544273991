"""What is pulled from a camera and made of it: streams, renditions, packets."""
