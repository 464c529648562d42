//! One open folder, and what is done in it: every name is one part, and nothing follows a link.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

use std::fs::Permissions;

#[cfg(not(unix))]
pub(crate) use other::{Folder, is_handle_limit, is_name_too_long, is_name_unusable};
#[cfg(unix)]
pub(crate) use unix::{Folder, is_handle_limit, is_name_too_long, is_name_unusable};

/// What stands under a name.
#[derive(Debug)]
pub(crate) enum Found {
    /// A regular file. The permissions are what another in its place should have; none where that means nothing.
    File(Option<Permissions>),
    Folder,
    Link,
    /// A pipe, a device, a socket.
    Special,
}
