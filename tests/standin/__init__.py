"""Our patches on a stand-in of the webui (modules/), for machines that have no webui."""
