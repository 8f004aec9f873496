"""Networks as files and on devices, whichever model they are of."""
