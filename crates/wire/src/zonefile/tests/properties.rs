//! Properties: what is written is read back, however it is laid out.
