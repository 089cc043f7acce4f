//! Tests that look across the modules of this stage.
