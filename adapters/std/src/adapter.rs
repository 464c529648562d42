//! What adapters for polled runtimes have in common beside types: functions that name their own I/O traits.

/// Makes an adapter's `connect`, `connect_tls`, `connect_io`, `accept_io` and `Server`, and re-exports what is the same
/// in all: of its [`AsyncRuntime`](crate::runtime::AsyncRuntime), of its wrapper that makes a
/// [`Transport`](crate::driver::Transport) of whatever reads and writes, and of the traits for that.
#[macro_export]
macro_rules! adapter {
    ($runtime:ty, $io:ident, $tcp:ty, $read:path, $write:path) => {
        /// Connects to `address`: the client's side. [`Options`] make a [`Session`], [`ConnectionOptions`] a
        /// [`Connection`](connection::Connection).
        ///
        /// Making the connection and the handshake of a session may take the handshake timeout each; without a
        /// session, making the connection may take the connect timeout.
        ///
        /// # Errors
        ///
        /// [`ConnectError`]: nobody answered, or the handshake did not come to its end; it says why.
        ///
        /// # Cancel safety
        ///
        /// Dropping the future closes the connection.
        pub async fn connect<V: Service>(address: &Address, options: &V) -> Result<V::Handle, ConnectError> {
            $crate::connect::connect::<$runtime, V>(address, options).await
        }

        /// Connects to `tls://HOST:PORT`: `secure` makes TLS of the TCP connection, within the time that making the
        /// connection may take. For servers there is [`Server::bind_tls`].
        ///
        /// # Errors
        ///
        /// As [`connect`]; what `secure` says is a [`ConnectError::Io`].
        ///
        /// # Cancel safety
        ///
        /// Dropping the future closes the connection.
        pub async fn connect_tls<V, F, T>(
            address: &Address,
            options: &V,
            secure: impl FnOnce($io<$tcp>) -> F,
        ) -> Result<V::Handle, ConnectError>
        where
            V: Service,
            F: ::core::future::Future<Output = ::std::io::Result<$io<T>>>,
            T: $read + $write + Send + Unpin + 'static,
        {
            $crate::connect::connect_tls::<$runtime, V, F, $io<T>>(address, options, secure).await
        }

        /// The client's side over any transport.
        ///
        /// # Errors
        ///
        /// [`ConnectError`]: the handshake did not come to its end; it says why.
        ///
        /// # Cancel safety
        ///
        /// Dropping the future closes the connection.
        pub async fn connect_io<T, V>(io: T, options: &V) -> Result<V::Handle, ConnectError>
        where
            T: $read + $write + Send + Unpin + 'static,
            V: Service,
        {
            $crate::connect::client::<$runtime, _, V>($io(io), options).await
        }

        /// The server's side over any transport, for who accepts connections himself.
        ///
        /// # Errors
        ///
        /// [`ConnectError`]: the handshake did not come to its end; it says why.
        ///
        /// # Cancel safety
        ///
        /// Dropping the future closes the connection.
        pub async fn accept_io<T, V>(io: T, options: &V) -> Result<V::Handle, ConnectError>
        where
            T: $read + $write + Send + Unpin + 'static,
            V: Service,
        {
            $crate::connect::server::<$runtime, _, V>($io(io), options).await
        }

        /// A client of `address` that connects again when the connection is lost; each attempt is a [`connect`].
        /// For attempts of another kind (over TLS, or a transport of your own) give [`Reconnecting::new`] a closure.
        ///
        /// # Errors
        ///
        /// The operating system gave no randomness.
        pub fn reconnecting<V: Service>(
            address: Address,
            options: V,
            backoff: Backoff,
        ) -> ::std::io::Result<
            Reconnecting<
                <$runtime as $crate::runtime::Runtime>::Timer,
                impl ::core::future::Future<Output = Result<V::Handle, ConnectError>> + Send + 'static,
            >,
        > {
            Reconnecting::new(backoff, move || {
                let (address, options) = (address.clone(), options.clone());
                async move { connect(&address, &options).await }
            })
        }

        #[doc = concat!("Listens, and serves: see [`heartwire_std`'s](", stringify!($crate), "::server::Server).")]
        pub type Server<V = Options, W = $crate::server::Plain> = $crate::server::Server<$runtime, V, W>;

        pub use $crate::handler::{Handler, handled};
        pub use $crate::prelude::*;
        pub use $crate::session::{Outgoing, Receiver, Sender, Session};

        /// The protocols without a session: files with JSON headers, sealed packets (feature `sealed`), lines, length
        /// prefix. They are connected to and served by the same functions as sessions, with other options.
        pub mod connection {
            pub use $crate::connection::{Connection, Outgoing, Receiver, Sender};
            pub use $crate::protocols::*;
        }
    };
}
