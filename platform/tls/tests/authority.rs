//! The development authority: what it writes, who may read it, and what stays when it issues again.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use cartwright_runtime::{Clock, Time};
use cartwright_tls::{Authority, Issued, TlsError};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(24 * 3_600);

const NOON: Time = Time::from_millis(1_795_340_000_000);

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_readable_by_their_owner_only() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("certs");
    // What a crash left behind has the wrong mode.
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("auth.key.new"), "half").unwrap();
    let authority = Authority::open_or_create(&folder, &Clock::manual(NOON)).unwrap();

    let auth = authority.issue("auth", DAY).unwrap();
    let edge = authority.issue_edge(&["shop.example".to_owned()], DAY).unwrap();

    for key in [&auth.key, &edge.key, &folder.join("ca.key")] {
        assert_eq!(mode(key), 0o600, "{}", key.display());
    }
    for certificate in [&auth.certificate, &edge.certificate, &folder.join("ca.pem")] {
        assert_eq!(mode(certificate), 0o644, "{}", certificate.display());
    }
    let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().ends_with(".new")), "{left:?}");
}

#[test]
fn issuing_again_replaces_the_certificate_and_keeps_the_root() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(NOON);
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let first = Authority::open_or_create(folder.path(), &clock).unwrap();
    assert!(first.is_new());
    let Issued { not_after, .. } = first.issue("auth", DAY).unwrap();
    let before = ["ca.pem", "ca.key", "auth.pem", "auth.key"].map(read);

    clock.advance(DAY);
    let again = Authority::open_or_create(folder.path(), &clock).unwrap();
    assert!(!again.is_new());
    let renewed = again.issue("auth", DAY).unwrap();

    assert_eq!((not_after, renewed.not_after), (NOON.plus(DAY), NOON.plus(DAY * 2)));
    let after = ["ca.pem", "ca.key", "auth.pem", "auth.key"].map(read);
    assert_eq!(before[..2], after[..2]);
    assert_ne!(before[2], after[2]);
    assert_ne!(before[3], after[3]);
}

#[test]
fn half_an_authority_is_not_overwritten() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(NOON);
    let open = || Authority::open_or_create(folder.path(), &clock).map(drop);
    open().unwrap();
    let key = fs::read(folder.path().join("ca.key")).unwrap();

    fs::remove_file(folder.path().join("ca.key")).unwrap();
    assert!(matches!(open(), Err(TlsError::Unreadable { .. })));
    fs::write(folder.path().join("ca.key"), &key).unwrap();
    open().unwrap();
    fs::remove_file(folder.path().join("ca.pem")).unwrap();
    assert!(matches!(open(), Err(TlsError::Unreadable { .. })));
    assert_eq!(fs::read(folder.path().join("ca.key")).unwrap(), key);
}

#[test]
fn an_expired_root_issues_nothing() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(NOON);
    Authority::open_or_create(folder.path(), &clock).map(drop).unwrap();

    clock.advance(DAY * 3_651);

    assert!(matches!(Authority::open_or_create(folder.path(), &clock), Err(TlsError::Expired { .. })));
}

#[test]
fn a_name_that_would_leave_the_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::open_or_create(folder.path(), &Clock::manual(NOON)).unwrap();

    for service in ["../auth", "", "Auth", "a.b"] {
        assert!(matches!(authority.issue(service, DAY), Err(TlsError::BadName { .. })), "{service}");
    }
    for host in ["", "a b", "https://shop.example", "shop.example:443"] {
        let refused = authority.issue_edge(&[host.to_owned()], DAY);
        assert!(matches!(refused, Err(TlsError::BadName { .. })), "{host}");
    }
    authority.issue_edge(&["*.shop.example".to_owned(), "::1".to_owned()], DAY).unwrap();
    assert!(matches!(authority.issue("auth", DAY * 365 * 9_000), Err(TlsError::BadName { .. })));
}
