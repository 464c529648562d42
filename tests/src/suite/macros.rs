//! Makes tests of cases.

/// Makes the tests of an adapter: `suite!(Tokio)`. They stand in modules by which they are selected: `tcp`, `unix`,
/// `memory`; in these `both_ways`, `flow`, `endings`, `transport`, `heartbeat`, `limits`, `shutdown`, and `connections`
/// for the protocols without a session, with `both_ways`, `half_close`, `transport`, `limits`, `shutdown`; `confirmed`, for
/// those whose end confirms; and `cancel`.
///
/// An adapter that is not [`Over`](crate::suite::Over) transports in memory has the rest of the tests by
/// `suite!(Adapter, sockets)`. One whose tasks are threads, which nobody can end from outside, has those
/// that need neither memory nor tasks that are dropped by `suite!(Adapter, threads)`.
#[macro_export]
macro_rules! suite {
    ($adapter:ty) => {
        $crate::suite!($adapter, sockets);
        mod memory {
            use super::*;
            $crate::suite!(@sessions $adapter, $crate::suite::Memory);
            $crate::suite!(@timed $adapter, run_paused, $crate::suite::Memory);
            mod scripted_transport {
                use super::*;
                $crate::suite!(@cases $adapter, run_paused, [], [transport];
                    transport_fails transport_that_needs_flushing goodbye_after_the_peers_end overtaking
                    idle_costs_nothing);
            }
            mod connections {
                use super::*;
                $crate::suite!(@cases $adapter, run_paused, [], [connections::memory];
                    idle cut_short_behind_events);
                $crate::suite!(@cases $adapter, run_paused, [], [connections::cancel]; dropped_futures);
            }
        }
        mod cancel {
            use super::*;
            $crate::suite!(@blocks $adapter, [cancel]; handshakes receiving sending streaming closing handles);
            $crate::suite!(@cases $adapter, run, [], [cancel]; connecting serving);
        }
    };
    ($adapter:ty, sockets) => {
        $crate::suite!($adapter, threads);
        mod dropped {
            use super::*;
            mod tcp {
                use super::*;
                $crate::suite!(@dropped $adapter, $crate::suite::Tcp);
            }
            #[cfg(unix)]
            mod unix {
                use super::*;
                $crate::suite!(@dropped $adapter, $crate::suite::Unix);
            }
        }
    };
    ($adapter:ty, threads) => {
        mod tcp {
            use super::*;
            $crate::suite!(@sockets $adapter, $crate::suite::Tcp);
        }
        #[cfg(unix)]
        mod unix {
            use super::*;
            $crate::suite!(@sockets $adapter, $crate::suite::Unix);
        }
    };
    (@sockets $adapter:ty, $link:ty) => {
        $crate::suite!(@sessions $adapter, $link);
        $crate::suite!(@timed $adapter, run, $link);
        $crate::suite!(@hosted $adapter, $link);
        $crate::suite!(@module confirmed $adapter, run, [$link], [connections::confirmed];
            in_order let_go panicked refused stop_waits stop_at_the_deadline unasked);
    };
    (@sessions $adapter:ty, $link:ty) => {
        $crate::suite!(@module both_ways $adapter, run, [$link], [both_ways];
            handshake messages much_both_ways pieces streams split_halves information);
        $crate::suite!(@module flow $adapter, run, [$link], [flow]; room_for_a_message slow_application);
        $crate::suite!(@module endings $adapter, run, [$link], [endings];
            end_of_stream dropped_after_close receiver_dropped aborted);
    };
    (@timed $adapter:ty, $run:ident, $link:ty) => {
        $crate::suite!(@module heartbeat $adapter, $run, [$link], [heartbeat]; heartbeats_while_busy idle_is_quiet);
        mod transport {
            use super::*;
            $crate::suite!(@cases $adapter, $run, [$link], [endings];
                reset reset_after_the_goodbye goodbye_after_the_peers_end stalled_handshake);
            $crate::suite!(@cases $adapter, $run, [$link], [flow];
                room_wakes_who_waits full_queue_is_taken full_queue_is_taken_at_the_end peer_never_reads);
        }
    };
    (@hosted $adapter:ty, $link:ty) => {
        $crate::suite!(@module limits $adapter, run, [$link], [limits]; too_many_sessions oldest_handshake_is_cut);
        $crate::suite!(@module shutdown $adapter, run, [$link], [shutdown];
            all_are_told cut_at_the_deadline handler_that_panics);
        mod connections {
            use super::*;
            $crate::suite!(@module both_ways $adapter, run, [$link], [connections::both_ways];
                lines_both_ways lengths_both_ways headers_both_ways requests_and_responses receiver_dropped);
            $crate::suite!(@module half_close $adapter, run, [$link], [connections::half_close]; half_closed);
            $crate::suite!(@module transport $adapter, run, [$link], [connections::transport];
                reset never_reads refused_without_a_word);
            $crate::suite!(@module limits $adapter, run, [$link], [connections::limits]; too_many);
            $crate::suite!(@module shutdown $adapter, run, [$link], [connections::shutdown];
                graceful_stop stop_at_the_deadline);
        }
    };
    (@dropped $adapter:ty, $link:ty) => {
        $crate::suite!(@module shutdown $adapter, run, [$link], [shutdown]; handler_that_hangs dropped_server);
    };
    (@module $module:ident $adapter:ty, $run:ident, $link:tt, $path:tt; $($case:ident)+) => {
        mod $module {
            use super::*;
            $crate::suite!(@cases $adapter, $run, $link, $path; $($case)+);
        }
    };
    (@cases $adapter:ty, $run:ident, $link:tt, $path:tt; $($case:ident)+) => {
        $($crate::suite!(@case $adapter, $run, $link, $path, $case);)+
    };
    (@case $adapter:ty, $run:ident, [$($link:ty)?], [$($path:ident)::+], $case:ident) => {
        #[test]
        fn $case() {
            <$adapter as $crate::suite::Adapter>::$run($crate::suite::$($path::)+$case::<$adapter $(, $link)?>());
        }
    };
    (@blocks $adapter:ty, [$path:ident]; $($case:ident)+) => {
        $(#[test]
        fn $case() {
            $crate::suite::$path::$case::<$adapter>();
        })+
    };
}

/// Makes the tests of every pair of these adapters over real sockets, each in a thread of its own with a runtime of its
/// own: `cross!(Tokio as tokio, Smol as smol)`. Those of a client on one and a server on the other stand in
/// `tokio::to::smol`, in there `tcp` and `unix`, in there as those of [`suite!`](crate::suite!).
#[macro_export]
macro_rules! cross {
    ($($adapter:ty as $name:ident),+ $(,)?) => {
        $crate::cross!(@from [$($adapter as $name),+] $($adapter as $name),+);
    };
    (@from $all:tt $($adapter:ty as $name:ident),+) => {
        $(mod $name {
            use super::*;
            mod to {
                use super::*;
                $crate::cross!(@to $adapter, $all);
            }
        })+
    };
    (@to $client:ty, [$($server:ty as $name:ident),+]) => {
        $(mod $name {
            use super::*;
            mod tcp {
                use super::*;
                $crate::cross!(@link $client, $server, $crate::suite::Tcp);
            }
            #[cfg(unix)]
            mod unix {
                use super::*;
                $crate::cross!(@link $client, $server, $crate::suite::Unix);
            }
        })+
    };
    (@link $client:ty, $server:ty, $link:ty) => {
        $crate::suite!(@sessions $client, $crate::suite::To<$server, $link>);
        $crate::suite!(@module heartbeat $client, run, [$crate::suite::To<$server, $link>], [heartbeat];
            idle_is_quiet);
        $crate::suite!(@hosted $client, $crate::suite::To<$server, $link>);

        #[test]
        fn small_buffers() {
            <$client as $crate::suite::Adapter>::run(
                $crate::suite::cross::small_buffers::<$client, $server, $link>(),
            );
        }
    };
}

/// For the [`Adapter`](crate::suite::Adapter) of a runtime whose adapter crate was made by
/// [`heartwire_std::adapter!`]: how it connects and serves. Stands inside the `impl`: `polled!(heartwire_tokio);`
#[macro_export]
macro_rules! polled {
    ($adapter:ident) => {
        type Server<V: ::heartwire_std::service::Service> = $adapter::Server<V>;

        async fn connect<V: ::heartwire_std::service::Service>(
            address: &$adapter::Address,
            options: &V,
        ) -> Result<V::Handle, $adapter::ConnectError> {
            $adapter::connect(address, options).await
        }

        async fn bind<V: ::heartwire_std::service::Service>(
            addresses: &[$adapter::Address],
            options: V,
        ) -> ::std::io::Result<$adapter::Server<V>> {
            $adapter::Server::bind(addresses, options).await
        }

        fn addresses<V: ::heartwire_std::service::Service>(
            server: &$adapter::Server<V>,
        ) -> Vec<$adapter::Address> {
            server.local_addresses().to_vec()
        }

        async fn serve<V, H, F>(
            server: $adapter::Server<V>,
            handler: H,
            stop: impl Future<Output = ()> + Send + 'static,
        ) -> $adapter::Report
        where
            V: ::heartwire_std::service::Service,
            H: Fn(V::Handle) -> F + Send + Sync + 'static,
            F: Future<Output = ()> + Send + 'static,
        {
            server.serve(handler, stop).await
        }
    };
}

/// For the [`Adapter`](crate::suite::Adapter) of such a runtime: which transports it is
/// [`Over`](crate::suite::Over), and how each is taken: `over!(Tokio, heartwire_tokio; Mock, io => io);`
#[macro_export]
macro_rules! over {
    ($runtime:ty, $adapter:ident; $($transport:ty, $io:ident => $convert:expr);+ $(;)?) => {
        $(impl $crate::suite::Over<$transport> for $runtime {
            async fn over<V: ::heartwire_std::service::Service>(
                $io: $transport,
                role: ::heartwire_core::role::Role,
                options: &V,
            ) -> Result<V::Handle, $adapter::ConnectError> {
                let io = $convert;
                match role {
                    ::heartwire_core::role::Role::Client => $adapter::connect_io(io, options).await,
                    ::heartwire_core::role::Role::Server => $adapter::accept_io(io, options).await,
                }
            }
        })+
    };
}
