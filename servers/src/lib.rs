//! Real servers for tests: found or installed, on ports and in folders of their own, gone with the value that stands for them.
