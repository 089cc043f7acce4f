//! Which conversation a frame belongs to, and its bytes in order.
