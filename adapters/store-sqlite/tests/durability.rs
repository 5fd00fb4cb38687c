//! What the disk and the process may do to the store: killed, full, failing, damaged, opened twice.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cartwright_runtime::{Clock, Ids, Tasks};
use cartwright_store::{
    Backend, Bookmark, Changes, CollectionSpec, Database, Document, Event, Index, IndexEntry, Store, StoreError,
};
use cartwright_store_sqlite::{OpenError, Options, SqliteBackend, commit_probe};
use futures::future::join_all;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Parcel {
    number: u64,
    city: String,
}

impl Document for Parcel {
    const COLLECTION: &'static str = "parcels";
    const INDEXES: &'static [Index] = &[Index::many("by-city", &["city"])];

    fn key(&self) -> String {
        format!("{:06}", self.number)
    }

    fn index_entries(&self) -> Vec<IndexEntry> {
        vec![IndexEntry::new("by-city", [self.city.as_str().into()])]
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct ParcelSent {
    number: u64,
}

impl Event for ParcelSent {
    const NAME: &'static str = "post.parcel-sent";

    fn subject(&self) -> String {
        self.number.to_string()
    }
}

fn parcel(number: u64) -> Parcel {
    Parcel { number, city: "Lyon".to_owned() }
}

fn sending(number: u64) -> Changes {
    Changes::new().insert(&parcel(number)).publish(&ParcelSent { number })
}

fn roomy() -> Options {
    Options { least_free_bytes: 0, least_free_percent: 0, ..Options::default() }
}

fn open(path: &Path) -> Result<Arc<SqliteBackend>, OpenError> {
    SqliteBackend::open(path, Clock::system(), roomy()).map(Arc::new)
}

async fn store(backend: &Arc<SqliteBackend>) -> Store {
    let clock = Clock::system();
    let database = Database::new(Arc::clone(backend) as Arc<dyn Backend>, clock.clone(), Ids::random(clock));
    database.scoped("post", &[Parcel::spec()]).await.unwrap()
}

async fn numbers(store: &Store) -> Vec<u64> {
    store.scan::<Parcel>().all().await.unwrap().into_iter().map(|stored| stored.doc.number).collect()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A file with some parcels, closed.
async fn filled(path: &Path, count: u64) {
    let backend = open(path).unwrap();
    let store = store(&backend).await;
    for number in 0..count {
        store.commit(sending(number)).await.unwrap();
    }
    backend.close();
}

// ---- the child process ------------------------------------------------------------------------------------------------

const FILE: &str = "CARTWRIGHT_TEST_STORE_FILE";

/// Another process that writes parcels one after the other and says each number once its commit was answered.
#[tokio::test]
#[ignore = "runs in a process of its own, started by the tests below"]
async fn write_until_killed() {
    let backend = open(Path::new(&std::env::var(FILE).unwrap())).unwrap();
    let store = store(&backend).await;
    for number in 0..1_000_000 {
        match store.commit(sending(number)).await {
            Ok(()) => println!("wrote {number}"),
            Err(error) => {
                println!("failed {error}");
                report_after_failure(&backend, &store, number).await;
                return;
            }
        }
    }
}

async fn report_after_failure(backend: &SqliteBackend, store: &Store, number: u64) {
    println!("again {:?}", store.commit(sending(number)).await);
    println!("ready {:?}", backend.ready().await);
    println!("reads {}", numbers(store).await.len());
}

/// Starts the process above; `before` is a line of shell that runs first.
fn writing(path: &Path, before: &str) -> Child {
    let program = std::env::current_exe().unwrap();
    Command::new("sh")
        .args(["-c", &format!("{before} exec \"$0\" --exact write_until_killed --ignored --nocapture")])
        .arg(program)
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap)
}

fn wrote(line: &str) -> Option<u64> {
    line.strip_prefix("wrote ").and_then(|number| number.parse().ok())
}

#[tokio::test]
async fn every_answered_commit_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    for round in 1..=3_usize {
        let mut child = writing(&path, "");
        let mut said = lines(&mut child);
        let mut answered: Vec<u64> = said.by_ref().filter_map(|line| wrote(&line)).take(50 * round).collect();
        child.kill().unwrap();
        answered.extend(said.filter_map(|line| wrote(&line)));
        child.wait().unwrap();

        let backend = open(&path).unwrap();
        let store = store(&backend).await;
        let there = numbers(&store).await;
        let expected: Vec<u64> = (0..u64::try_from(answered.len()).unwrap()).collect();
        assert_eq!(answered, expected);
        assert!(there.starts_with(&answered), "{} answered, {} there", answered.len(), there.len());
        assert!(there.len() <= answered.len() + 1, "one commit at most was under way");
        assert_eq!(
            backend.unsent(&Bookmark::default(), 10_000).await.unwrap().len(),
            there.len(),
            "each has its event"
        );
        assert_eq!(backend.complaints().unwrap(), Vec::<String>::new());
        backend.close();
        drop((store, backend));
        fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn after_an_error_of_the_disk_nothing_is_written_any_more_and_reads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    // Writing past 1 MiB of a file fails with EFBIG, which is no lack of space.
    let mut child = writing(&path, "trap '' XFSZ; ulimit -f 2048;");
    let said: Vec<String> = lines(&mut child).collect();
    child.wait().unwrap();

    let answered = said.iter().filter_map(|line| wrote(line)).count();
    let after = |word: &str| said.iter().find_map(|line| line.strip_prefix(word).map(str::to_owned)).unwrap();
    assert!(answered > 10, "{said:?}");
    assert!(after("failed ").contains("nothing is written any more"), "{said:?}");
    assert!(after("again ").contains("Unavailable"), "{said:?}");
    assert!(after("ready ").contains("nothing is written any more"), "{said:?}");
    assert_eq!(after("reads "), answered.to_string());

    let backend = open(&path).unwrap();
    let store = store(&backend).await;
    assert!(numbers(&store).await.len() >= answered);
    store.commit(sending(999_999)).await.unwrap();
}

// ---- opening ----------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_second_process_is_refused_and_told_by_whom() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let mut child = writing(&path, "");
    let mut said = lines(&mut child);
    assert!(said.any(|line| wrote(&line).is_some()));

    let refused = open(&path).err().unwrap().to_string();
    let beside = SqliteBackend::open_read_only(&path, Clock::system()).unwrap();
    assert!(!beside.unsent(&Bookmark::default(), 10).await.unwrap().is_empty(), "but it may be read");

    child.kill().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    assert!(refused.contains(&format!("open in process {pid}")), "{refused}");
    assert!(open(&path).is_ok(), "the lock ends with the process");
}

#[tokio::test]
async fn a_file_that_is_only_read_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    filled(&path, 3).await;

    let backend = Arc::new(SqliteBackend::open_read_only(&path, Clock::system()).unwrap());
    let clock = Clock::system();
    let database = Database::new(Arc::clone(&backend) as Arc<dyn Backend>, clock.clone(), Ids::random(clock));
    let letters = CollectionSpec::unlisted("letters");
    let store = database.scoped("post", &[Parcel::spec(), letters]).await.unwrap();

    assert_eq!(numbers(&store).await, [0, 1, 2]);
    assert!(matches!(store.commit(sending(3)).await, Err(StoreError::Unavailable(_))));
    assert!(!backend.exclusive());
    assert_eq!(backend.complaints().unwrap(), Vec::<String>::new());
    let strangers = cartwright_store::Collection { scope: "post", name: "letters" };
    assert_eq!(backend.get(strangers, "1").await.unwrap(), None);
}

#[tokio::test]
async fn what_is_only_read_stands_still_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    filled(&path, 3).await;
    let writing = store(&open(&path).unwrap()).await;

    let reading = Arc::new(SqliteBackend::open_read_only(&path, Clock::system()).unwrap());
    writing.commit(sending(3)).await.unwrap();
    let reading = store(&reading).await;

    assert_eq!(numbers(&reading).await, [0, 1, 2]);
    assert_eq!(numbers(&writing).await, [0, 1, 2, 3]);
}

/// Why a closed file is not opened after `harm`.
async fn refusal(harm: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    filled(&path, 200).await;
    harm(&path);
    open(&path).err().map_or_else(|| "opened".to_owned(), |error| error.to_string())
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_refused_with_the_way_to_mend_it() {
    // The beginning, the size of pages, fixed bytes, the change counter, the length, the encoding, bytes kept for later.
    for at in [0, 5, 16, 17, 18, 20, 22, 24, 27, 29, 31, 47, 55, 56, 80] {
        let why = refusal(|path| flip(path, at)).await;
        assert!(why.contains("restore a backup"), "byte {at}: {why}");
    }
    for length in [0_u64, 50] {
        let why =
            refusal(|path| fs::File::options().write(true).open(path).unwrap().set_len(length + 50).unwrap()).await;
        assert!(why.contains("restore a backup"), "{length}: {why}");
    }
    let why = refusal(|path| {
        let length = fs::metadata(path).unwrap().len();
        fs::File::options().write(true).open(path).unwrap().set_len(length - 8192).unwrap();
    })
    .await;
    assert!(why.contains("its length is not what its header says"), "{why}");
    let why = refusal(|path| fs::write(path, "hello, this is a letter to the shop".repeat(10)).unwrap()).await;
    assert!(why.contains("restore a backup"), "{why}");
}

#[tokio::test]
async fn a_file_of_a_newer_program_or_of_something_else_is_refused() {
    let newer = refusal(|path| {
        Connection::open(path).unwrap().execute_batch("PRAGMA user_version = 9").unwrap();
    })
    .await;
    assert!(newer.contains("schema 9") && newer.contains("use the newer cartwright"), "{newer}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    let foreign = open(&path).err().unwrap().to_string();
    assert!(foreign.contains("is not a store of cartwright"), "{foreign}");
    let nowhere = open(&folder.path().join("nowhere/shop.db")).err().unwrap().to_string();
    assert!(nowhere.contains("check that the directory exists"), "{nowhere}");
}

/// Where in the file `text` stands first.
fn place_of(path: &Path, text: &str) -> usize {
    fs::read(path).unwrap().windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_document_that_the_disk_changed_is_never_given_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    filled(&path, 1).await;
    let at = place_of(&path, "{\"number\":0,\"city\":\"Lyon\"}") + 10;
    flip(&path, at);

    let backend = open(&path).unwrap();
    let read = store(&backend).await.get::<Parcel>("000000").await;

    assert!(matches!(&read, Err(StoreError::Unusable(why)) if why.contains("restore a backup")), "{read:?}");
}

/// Overwrites a part of a page in the middle of the file.
fn scratch(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 8192 / 2 * 8192;
    bytes[middle..middle + 64].fill(0xAB);
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn damage_that_is_found_beside_the_running_shop_ends_its_writing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    filled(&path, 2000).await;
    scratch(&path);

    let backend = open(&path).unwrap();
    let (clock, watch) = (Clock::system(), Clock::system().stopwatch());
    while backend.ready().await.is_ok() {
        assert!(watch.elapsed() < Duration::from_secs(10), "the check found nothing");
        clock.pause(Duration::from_millis(5)).await;
    }
    assert!(backend.ready().await.unwrap_err().to_string().contains("restore a backup"));
}

#[tokio::test]
async fn a_file_that_nobody_closed_is_looked_at_before_it_is_opened() {
    let with_log = |path: &Path| fs::write(beside(path, "-wal"), "what is left of a log").unwrap();
    let sound = refusal(with_log).await;
    assert_eq!(sound, "opened");
    let damaged = refusal(|path| {
        with_log(path);
        scratch(path);
    })
    .await;
    assert!(damaged.contains("restore a backup"), "{damaged}");
    let emptied = refusal(|path| {
        with_log(path);
        fs::write(path, "").unwrap();
    })
    .await;
    assert!(emptied.contains("its log is not"), "{emptied}");
}

#[tokio::test]
async fn an_index_cannot_be_added_to_documents_that_do_not_say_where_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    filled(&path, 1).await;
    let backend = open(&path).unwrap();
    let changed = |indexes| CollectionSpec { indexes, ..CollectionSpec::unlisted("parcels") };
    const MORE: &[Index] = &[Index::many("by-city", &["city"]), Index::many("by-weight", &["weight"])];
    const OTHER: &[Index] = &[Index::unique("by-city", &["city"])];

    for indexes in [MORE, OTHER] {
        let refused = backend.prepare("post", &[changed(indexes)]).await;
        assert!(matches!(&refused, Err(StoreError::Unusable(why)) if why.contains("import them")), "{refused:?}");
    }
    backend.prepare("post", &[changed(&[])]).await.unwrap();
    let again = backend.prepare("post", &[Parcel::spec()]).await;
    assert!(again.is_err(), "an index that was dropped for a while does not list what was written meanwhile");

    backend.prepare("customs", &[changed(&[])]).await.unwrap();
    backend.prepare("customs", &[changed(MORE)]).await.unwrap();
}

#[tokio::test]
async fn a_backup_of_a_running_shop_can_be_put_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("shop.db"), folder.path().join("copy.db"));
    let backend = open(&path).unwrap();
    let running = store(&backend).await;
    for number in 0..20 {
        running.commit(sending(number)).await.unwrap();
    }

    backend.back_up(&copy).unwrap();
    running.commit(sending(20)).await.unwrap();
    assert!(backend.back_up(&copy).is_err(), "a backup is not overwritten");

    let restored = open(&copy).unwrap();
    let store = store(&restored).await;
    assert_eq!(numbers(&store).await, (0..20).collect::<Vec<u64>>());
    store.commit(sending(20)).await.unwrap();
    assert_eq!(restored.unsent(&Bookmark::default(), 100).await.unwrap().len(), 21);
}

// ---- the writer -------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_wait_are_written_together() {
    let folder = tempfile::tempdir().unwrap();
    let backend = open(&folder.path().join("shop.db")).unwrap();
    let (store, tasks) = (store(&backend).await, Tasks::new());

    let callers = (0..64).map(|caller| {
        let store = store.clone();
        tasks.detach(async move {
            for number in 0..20 {
                store.commit(sending(caller * 100 + number)).await.unwrap();
            }
        })
    });
    for caller in join_all(callers).await {
        caller.unwrap();
    }

    let written = backend.written();
    assert_eq!(written.commits, 1280);
    assert!(written.groups * 4 < written.commits, "{written:?}");
}

#[tokio::test]
async fn a_full_queue_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { queue: 2, ..roomy() };
    let backend = Arc::new(SqliteBackend::open(&folder.path().join("shop.db"), Clock::system(), options).unwrap());
    let store = store(&backend).await;

    let commits: Vec<_> = (0..500).map(|number| store.commit(sending(number))).collect();
    let results = join_all(commits).await;

    let busy = results.iter().filter(|result| matches!(result, Err(StoreError::Busy(_)))).count();
    let done = results.iter().filter(|result| result.is_ok()).count();
    assert!(busy > 0 && done > 0 && busy + done == 500, "{busy} busy, {done} done");
    assert_eq!(numbers(&store).await.len(), done);
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_refuses_what_grows_and_lets_go_on_what_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    filled(&path, 2).await;
    let options = Options { least_free_bytes: u64::MAX, ..roomy() };
    let backend = Arc::new(SqliteBackend::open(&path, Clock::system(), options).unwrap());
    let store = store(&backend).await;

    assert!(matches!(store.commit(sending(7)).await, Err(StoreError::Full(_))));
    assert!(matches!(backend.ready().await, Err(StoreError::Full(_))));
    let (mut first, second) =
        (store.get::<Parcel>("000000").await.unwrap().unwrap(), store.get::<Parcel>("000001").await.unwrap().unwrap());
    first.doc.city = "Nice".to_owned();
    store.commit(Changes::new().replace(&first).remove(&second)).await.unwrap();
    assert_eq!(numbers(&store).await, [0]);
}

#[tokio::test]
async fn marks_of_sent_events_are_written_by_closing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    filled(&path, 2).await;
    let backend = open(&path).unwrap();
    let unsent = backend.unsent(&Bookmark::default(), 10).await.unwrap();

    backend.sent(unsent.into_iter().map(|(_, event)| event.id).collect()).await.unwrap();
    assert_eq!(backend.written().groups, 0, "a mark alone is no reason to sync");
    backend.close();

    assert!(open(&path).unwrap().unsent(&Bookmark::default(), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn sent_events_are_forgotten_after_a_week_and_unsent_ones_never() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    filled(&path, 3).await;
    let aged = "UPDATE outbox SET sent_at = CASE seq WHEN 1 THEN 0 WHEN 3 THEN 32503680000000 END";
    Connection::open(&path).unwrap().execute_batch(aged).unwrap();
    let backend = open(&path).unwrap();
    let store = store(&backend).await;
    let left = || {
        let connection = Connection::open(&path).unwrap();
        connection.query_row("SELECT group_concat(seq) FROM outbox WHERE seq <= 3", [], |row| row.get::<_, String>(0))
    };

    let (clock, watch, mut number) = (Clock::system(), Clock::system().stopwatch(), 10);
    while left().unwrap() != "2,3" {
        assert!(watch.elapsed() < Duration::from_secs(10), "{:?}", left());
        store.commit(Changes::new().insert(&parcel(number))).await.unwrap();
        number += 1;
        clock.pause(Duration::from_millis(20)).await;
    }
    assert_eq!(backend.unsent(&Bookmark::default(), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_closed_file_is_one_file_and_its_handle_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let backend = open(&path).unwrap();
    let store = store(&backend).await;
    store.commit(sending(1)).await.unwrap();
    assert!(beside(&path, "-wal").exists());

    backend.close();
    backend.close();

    assert!(!beside(&path, "-wal").exists(), "the log was moved into the file");
    assert!(matches!(store.commit(sending(2)).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.get::<Parcel>("000001").await, Err(StoreError::Unavailable(_))));
    assert!(open(&path).is_ok());
}

#[tokio::test]
async fn the_probe_counts_durable_commits_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let report = commit_probe(folder.path(), 1).await.unwrap();
    assert!(report.commits > 0 && report.p50_us > 0 && report.p50_us <= report.p99_us, "{report:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
