"""What the suite stands on: servers, doors, identities and transcripts."""
