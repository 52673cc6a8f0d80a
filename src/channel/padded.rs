//! Padding against false sharing, also where models are built.

cfg_if::cfg_if! {
    if #[cfg(loom)] {
        /// crossbeam-utils' type without its padding, which no model sees.
        #[derive(Debug)]
        pub(crate) struct CachePadded<T>(T);

        impl<T> CachePadded<T> {
            pub(crate) fn new(value: T) -> Self {
                Self(value)
            }
        }

        impl<T> std::ops::Deref for CachePadded<T> {
            type Target = T;
            fn deref(&self) -> &T {
                &self.0
            }
        }

        impl<T> std::ops::DerefMut for CachePadded<T> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.0
            }
        }
    } else {
        pub(crate) use crossbeam_utils::CachePadded;
    }
}
