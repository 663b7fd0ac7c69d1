"""One file each: agents of other libraries, to start from."""
