"""Training GeoCLIP's encoders: module, loss, command line, export. Needs the extra `train`; importing loads nothing."""
