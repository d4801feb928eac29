//! The storage backends that a host under test can be started on, and the macro that makes a test of a scenario for each.
//!
//! A scenario is written once, as a function of its [`Backend`]: what happens to an entity is the same on all of them, and
//! whatever a backend needs to be there is its line in [`on_every_backend!`](crate::on_every_backend) and its arm where a host
//! is started.

use greenroom_test_postgres::cluster;

/// Where a host under test keeps its catalog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Backend {
    /// The file in its data directory.
    #[default]
    Sqlite,
    /// A database of its own, in the cluster of the test's process.
    Postgres,
}

impl Backend {
    /// What `greenroom serve` finds in its environment.
    pub(crate) fn environment(self) -> Vec<(&'static str, String)> {
        match self {
            // The data directory is told anyway.
            Backend::Sqlite => Vec::new(),
            Backend::Postgres => vec![("GREENROOM_DATABASE_URL", cluster().database())],
        }
    }

    /// Whether tests on it are left out on this machine.
    pub fn skipped(self) -> bool {
        self == Backend::Postgres && greenroom_test_postgres::skipped()
    }
}

/// Makes a test of each scenario for each backend, in a module of the backend's name. A scenario is an
/// `async fn name(backend: Backend)` beside the list.
#[macro_export]
macro_rules! on_every_backend {
    ($($scenario:ident),* $(,)?) => {
        $crate::on_every_backend!(@backend sqlite, Sqlite, [$($scenario),*]);
        $crate::on_every_backend!(@backend postgres, Postgres, [$($scenario),*]);
    };
    (@backend $module:ident, $backend:ident, [$($scenario:ident),*]) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() {
                    if $crate::Backend::$backend.skipped() {
                        return;
                    }
                    Box::pin(super::$scenario($crate::Backend::$backend)).await;
                }
            )*
        }
    };
}
