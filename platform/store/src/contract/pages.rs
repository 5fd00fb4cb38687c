//! Pages: documents in the order of an index, compared with sorting them by hand.

use super::Subject;
use super::parcels::{Parcel, Shelf, insert, stored};
use crate::{Changes, Find, Store};

const CITIES: [&str; 4] = ["Lyon", "Nice", "Lyonnais", "Älvsjö"];

/// Forty parcels in four cities, several at one place.
async fn fill(store: &Store) -> Vec<Parcel> {
    let mut all = Vec::new();
    for number in 0..40_i64 {
        let city = CITIES[usize::try_from(number % 4).unwrap()];
        all.push(Parcel::new(&format!("p{:02}", (number * 7) % 40), city, (number * 13) % 10 - 4));
    }
    let changes = all.iter().fold(Changes::new(), |changes, parcel| changes.insert(parcel));
    store.commit(changes).await.unwrap();
    all.sort_by(|a, b| (&a.city, a.weight, &a.id).cmp(&(&b.city, b.weight, &b.id)));
    all
}

/// Everything that `find` gives, three documents a page.
async fn paged(find: impl Fn() -> Find<Parcel>) -> Vec<Parcel> {
    let mut all: Vec<Parcel> = Vec::new();
    loop {
        let next = all.last().map_or_else(&find, |last| find().after(last));
        let page = next.page(3).await.unwrap();
        all.extend(page.iter().map(|stored| stored.doc.clone()));
        assert!(all.len() <= 100, "the pages do not end");
        if page.len() < 3 {
            return all;
        }
    }
}

pub async fn pages_come_in_the_order_of_the_index(subject: Subject) {
    let store = subject.store().await;
    let mut all = fill(&store).await;
    insert(&store, &Shelf { id: "elsewhere".to_owned(), number: None }).await.unwrap();

    assert_eq!(paged(|| store.find("by-city", Vec::new())).await, all);
    let everything = store.find::<Parcel>("by-city", Vec::new()).all().await.unwrap();
    assert_eq!(everything.len(), all.len());

    all.reverse();
    assert_eq!(paged(|| store.find("by-city", Vec::new()).descending()).await, all);
}

pub async fn pages_keep_to_the_part_they_are_asked_for(subject: Subject) {
    let store = subject.store().await;
    let all = fill(&store).await;
    let chosen = |keep: &dyn Fn(&Parcel) -> bool| all.iter().filter(|p| keep(p)).cloned().collect::<Vec<_>>();
    let lyon = || store.find::<Parcel>("by-city", vec!["Lyon".into()]);

    assert_eq!(paged(lyon).await, chosen(&|p| p.city == "Lyon"));
    assert_eq!(paged(|| lyon().from(-1).below(3)).await, chosen(&|p| p.city == "Lyon" && (-1..3).contains(&p.weight)));
    let mut heavy = chosen(&|p| p.city == "Lyon" && p.weight >= 0);
    heavy.reverse();
    assert_eq!(paged(|| lyon().from(0).descending()).await, heavy);
    let place = || store.find::<Parcel>("by-city", vec!["Lyon".into(), 1.into()]);
    assert_eq!(paged(place).await, chosen(&|p| p.city == "Lyon" && p.weight == 1));
    let cities = || store.find::<Parcel>("by-city", Vec::new()).from("Lyon").below("Nice");
    assert_eq!(paged(cities).await, chosen(&|p| p.city.as_str() >= "Lyon" && p.city.as_str() < "Nice"));
    assert_eq!(paged(|| place().from(0)).await, [], "there is no part after the last");
}

pub async fn integers_come_before_texts(subject: Subject) {
    let store = subject.store().await;
    for (id, number) in [("10", None), ("a", Some(10)), ("b", Some(9)), ("9", None), ("c", Some(-1)), ("", None)] {
        insert(&store, &Shelf { id: id.to_owned(), number }).await.unwrap();
    }
    let ids = |find: Find<Shelf>| async move {
        let page = find.page(10).await.unwrap();
        page.into_iter().map(|stored| stored.doc.id).collect::<Vec<_>>()
    };
    let marks = || store.find::<Shelf>("by-mark", Vec::new());

    assert_eq!(ids(marks()).await, ["c", "b", "a", "", "10", "9"]);
    assert_eq!(ids(marks().from(10)).await, ["a", "", "10", "9"]);
    assert_eq!(ids(marks().below("10")).await, ["c", "b", "a", ""]);
    assert_eq!(ids(marks().from("10").descending()).await, ["9", "10"]);
    assert_eq!(ids(store.find("by-mark", vec!["10".into()])).await, ["10"], "a number is no text");
}

pub async fn documents_at_one_place_come_by_key(subject: Subject) {
    let store = subject.store().await;
    for id in ["c", "a", "d", "b", "B"] {
        insert(&store, &Parcel::new(id, "Lyon", 1)).await.unwrap();
    }
    let ids = |parcels: Vec<Parcel>| parcels.into_iter().map(|parcel| parcel.id).collect::<Vec<_>>();
    let here = || store.find::<Parcel>("by-city", vec!["Lyon".into(), 1.into()]);

    assert_eq!(ids(paged(here).await), ["B", "a", "b", "c", "d"]);
    assert_eq!(ids(paged(|| here().descending()).await), ["d", "c", "b", "a", "B"]);
}

pub async fn a_document_that_moved_is_listed_where_it_is(subject: Subject) {
    let store = subject.store().await;
    insert(&store, &Parcel::new("1", "Lyon", 1)).await.unwrap();
    insert(&store, &Parcel::new("2", "Lyon", 1)).await.unwrap();
    let (mut first, second) = (stored::<Parcel>(&store, "1").await, stored::<Parcel>(&store, "2").await);
    first.doc.city = "Nice".to_owned();

    store.commit(Changes::new().replace(&first).remove(&second)).await.unwrap();

    assert_eq!(paged(|| store.find("by-city", vec!["Lyon".into()])).await, []);
    assert_eq!(paged(|| store.find("by-city", vec!["Nice".into()])).await, [first.doc]);
}

pub async fn keys_are_scanned_in_order(subject: Subject) {
    let store = subject.store().await;
    let mut all = fill(&store).await;
    all.sort_by(|a, b| a.id.cmp(&b.id));

    assert_eq!(paged(|| store.scan()).await, all);
    let middle: Vec<Parcel> = all.iter().filter(|p| (10..20).contains(&number(p))).cloned().collect();
    assert_eq!(paged(|| store.scan().from("p10").below("p20")).await, middle);
    all.reverse();
    assert_eq!(paged(|| store.scan().descending()).await, all);
}

fn number(parcel: &Parcel) -> u32 {
    parcel.id[1..].parse().unwrap()
}
