"""The patches on a stand-in for the webui (modules/), for machines without a webui."""
