//! Plain-old-data views of the types above, for reading bytes the kernel wrote.
