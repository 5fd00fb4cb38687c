//! Commands that fail, and answers that are lost: every commit takes effect once, or not at all and says so.

use bson::{Document as Bson, doc};
use cartwright_runtime::Tasks;
use cartwright_servers::mongo::ReplicaSet;
use cartwright_store::{Backend, Changes, Store, StoreError};
use cartwright_store_mongo::MongoBackend;
use mongodb::Client;

use crate::letters::{Letter, again, all_unsent, letter, open, post, written};
use crate::severed::Wire;

/// The driver takes a node for gone that failed so, and this is how soon it looks again.
const SOON: &str = "heartbeatFrequencyMS=500";

/// What is committed while something fails; each makes one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Insert,
    Replace,
    Remove,
    EventAlone,
    TwoDocuments,
}

const KINDS: [Kind; 5] = [Kind::Insert, Kind::Replace, Kind::Remove, Kind::EventAlone, Kind::TwoDocuments];

/// A commit of this kind, on letters of its own.
async fn planned(kind: Kind, store: &Store, id: &str) -> Changes {
    let new = Letter::new(id);
    if matches!(kind, Kind::Replace | Kind::Remove) {
        store.commit(Changes::new().insert(&new)).await.unwrap();
    }
    match kind {
        Kind::Insert => Changes::new().insert(&new).publish(&written(&new)),
        Kind::Replace => again(letter(store, id).await),
        Kind::Remove => Changes::new().remove(&letter(store, id).await),
        Kind::EventAlone => Changes::new().publish(&written(&new)),
        Kind::TwoDocuments => {
            Changes::new().insert(&new).insert(&Letter::new(&format!("{id}-2"))).publish(&written(&new))
        }
    }
}

/// How often the commit took effect, by its documents; they and its events must agree.
async fn effects(kind: Kind, store: &Store, backend: &MongoBackend, id: &str) -> usize {
    let found = store.get::<Letter>(id).await.unwrap();
    let events = all_unsent(backend).await.iter().filter(|event| event.subject == id).count();
    let effects = match kind {
        Kind::Insert => usize::from(found.is_some_and(|letter| letter.revision == 1)),
        Kind::Replace => usize::try_from(found.unwrap().revision - 1).unwrap(),
        Kind::Remove => return usize::from(found.is_none()),
        Kind::EventAlone => events,
        Kind::TwoDocuments => {
            let second = store.get::<Letter>(format!("{id}-2")).await.unwrap();
            assert_eq!(found.is_some(), second.is_some(), "{kind:?} is torn");
            usize::from(found.is_some())
        }
    };
    assert_eq!(events, effects, "the events of {kind:?} {id} do not agree with its documents");
    effects
}

/// Commits each kind once for each of `faults`, which are armed right before.
async fn each_takes_effect_once<A: Future<Output = ()>>(
    backend: &MongoBackend,
    faults: &[(&'static str, u32)],
    arm: impl Fn(&'static str, u32) -> A,
) {
    let store = post(backend).await;
    for (number, (fault, times)) in faults.iter().enumerate() {
        for kind in KINDS {
            let (id, what) = (format!("{number}-{kind:?}"), format!("{kind:?}, {fault} fails {times} times"));
            let changes = planned(kind, &store, &id).await;

            arm(fault, *times).await;
            let result = store.commit(changes).await;
            arm(fault, 0).await;

            let effects = effects(kind, &store, backend, &id).await;
            match result {
                Ok(()) => assert_eq!(effects, 1, "{what}: acknowledged"),
                // A document that is gone bears no mark: nobody can know who removed it.
                Err(StoreError::Unavailable(_)) if kind == Kind::Remove => assert!(effects <= 1, "{what}"),
                Err(error) => panic!("{what}: {error}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answers_are_lost_takes_effect_once() {
    let (set, tasks) = (ReplicaSet::start(1).await, Tasks::new());
    let wire = Wire::to(set.port(0), &tasks).await;
    // Directly, because the set would name its own address and not the wire's.
    let uri = format!("mongodb://127.0.0.1:{}/?directConnection=true&{SOON}", wire.port());
    let backend = open(&uri).await;
    let commands = ["insert", "findAndModify", "update", "commitTransaction"];
    // The driver tries twice by itself, so three are left for the engine.
    let faults: Vec<(&str, u32)> =
        commands.into_iter().flat_map(|command| [1, 3].map(move |times| (command, times))).collect();

    let wire = &wire;
    each_takes_effect_once(&backend, &faults, |command, times| async move { wire.lose(command, times) }).await;

    let store = post(&backend).await;
    wire.lose("insert", 1);
    store.commit(planned(Kind::Insert, &store, "last").await).await.unwrap();
    assert_eq!(wire.left(), 0, "the wire does lose answers");
    tasks.stop();
}

/// Makes commands of the server fail from now on: `times` of them, or none any more.
async fn fail(admin: &mongodb::Database, how: Bson, times: u32) {
    let mode = if times == 0 { bson::Bson::from("off") } else { bson::Bson::from(doc! { "times": i64::from(times) }) };
    admin.run_command(doc! { "configureFailPoint": "failCommand", "mode": mode, "data": how }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_commands_fail_takes_effect_once() {
    let set = ReplicaSet::start(1).await;
    let backend = open(&format!("{}&{SOON}", set.uri())).await;
    let admin = Client::with_uri_str(set.uri()).await.unwrap().database("admin");
    let commands = || vec!["insert", "findAndModify", "update", "delete", "find", "commitTransaction"];
    let leaving = doc! { "failCommands": commands(), "errorCode": 11_600, "errorLabels": ["RetryableWriteError"] };
    let after = doc! { "failCommands": ["insert", "findAndModify", "commitTransaction"], "writeConcernError": {
    "code": 91, "errmsg": "replication is being shut down", "errorLabels": ["RetryableWriteError"] } };
    let conflict = doc! { "failCommands": ["insert", "findAndModify", "commitTransaction"], "errorCode": 112, "errorLabels": ["TransientTransactionError"] };
    let closing = doc! { "failCommands": commands(), "closeConnection": true };
    let how = |fault: &str| match fault {
        "the node leaves" => leaving.clone(),
        "most nodes do not confirm" => after.clone(),
        "others collide" => conflict.clone(),
        _ => closing.clone(),
    };
    let faults = [
        ("the node leaves", 3),
        ("most nodes do not confirm", 1),
        ("most nodes do not confirm", 3),
        ("others collide", 2),
        ("the connection closes", 2),
    ];

    let admin = &admin;
    each_takes_effect_once(&backend, &faults, |fault, times| fail(admin, how(fault), times)).await;

    assert!(backend.ready().await.is_ok());
}
