"""What takes several services: object list, load profiles, clock, image transfer."""
