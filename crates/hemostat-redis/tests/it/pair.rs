//! A primary with a replica.

use hemostat_redis::testing::{TestRedis, free_port};

use crate::given::eventually;

/// Two servers, the second of which follows the first.
pub(crate) struct Pair {
    pub(crate) primary: TestRedis,
    pub(crate) replica: TestRedis,
}

impl Pair {
    /// Starts both and waits until the replica follows.
    pub(crate) async fn start() -> Self {
        let port = free_port().expect("the system has a free port").to_string();
        // A replica finds its primary by an address; both are asked over their sockets.
        let quick = [("repl-diskless-sync-delay", "0"), ("repl-ping-replica-period", "1")];
        let primary = [("port", port.as_str()), ("bind", "127.0.0.1"), quick[0], quick[1]];
        let primary = TestRedis::start_with(&primary).await.expect("a throw-away Redis");
        let follow = format!("127.0.0.1 {port}");
        let replica = [("replicaof", follow.as_str()), quick[0], quick[1]];
        let replica = TestRedis::start_with(&replica).await.expect("a throw-away Redis");
        let pair = Self { primary, replica };
        pair.in_step().await;
        pair
    }

    /// Waits until the replica has all that the primary has.
    pub(crate) async fn in_step(&self) {
        // A wait is for what its own connection has written.
        let connection = self.primary.connection().await.expect("Redis answers");
        eventually("the replica is in step", || async {
            let mut connection = connection.clone();
            let mut requests = redis::pipe();
            requests.cmd("SET").arg("in-step").arg("").ignore().cmd("WAIT").arg(1).arg(1_000);
            let (there,): (i64,) = requests.query_async(&mut connection).await.expect("Redis answers");
            (there == 1).then_some(())
        })
        .await;
    }

    /// Makes the replica a primary of its own.
    pub(crate) async fn promote(&self) {
        self.replica.command::<()>(&["REPLICAOF", "NO", "ONE"]).await.expect("Redis answers");
    }
}
