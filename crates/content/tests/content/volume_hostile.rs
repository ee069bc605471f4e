//! Images that somebody made to do harm: each is refused, nothing it names is opened, and nothing is left of it.

use std::time::Duration;

use content::Error;
use store::Unit;

use crate::support::*;
use crate::volume_support::*;

/// A way to harm.
type Harm = Box<dyn Fn(&mut Vec<u8>)>;

fn put32(image: &mut [u8], at: usize, word: u32) {
    image[at..at + 4].copy_from_slice(&word.to_be_bytes());
}

fn put64(image: &mut [u8], at: usize, word: u64) {
    image[at..at + 8].copy_from_slice(&word.to_be_bytes());
}

const CLUSTER: usize = 65536;
const L1: usize = 3 * CLUSTER;
const L2: usize = 4 * CLUSTER;
const DATA: u64 = 5 * CLUSTER as u64;
const COPIED: u64 = 1 << 63;

/// A small image with nothing wrong: header, table of counts, block of counts, first level, second level, a cluster of data.
fn good() -> Vec<u8> {
    let mut image = vec![0; 6 * CLUSTER];
    for (at, word) in [(0, 0x5146_49fb), (4, 3), (20, 16), (36, 1), (56, 1), (96, 4), (100, 104)] {
        put32(&mut image, at, word);
    }
    for (at, word) in [(24, MIB), (40, L1 as u64), (48, CLUSTER as u64), (CLUSTER, 2 * CLUSTER as u64)] {
        put64(&mut image, at, word);
    }
    put64(&mut image, L1, L2 as u64 | COPIED);
    put64(&mut image, L2, DATA | COPIED);
    (0..6).for_each(|cluster| image[2 * CLUSTER + 2 * cluster + 1] = 1);
    image[5 * CLUSTER..].fill(7);
    image
}

/// A pipe that nobody writes to: whoever opens it waits for ever.
fn trap(folder: &std::path::Path) -> String {
    let pipe = folder.join("trap");
    ran("coreutils", "mkfifo", &[pipe.to_str().unwrap()]);
    pipe.to_str().unwrap().to_owned()
}

fn harms(trap: &str) -> Vec<(&'static str, Harm)> {
    let word = |at: usize, word: u32| -> Harm { Box::new(move |image| put32(image, at, word)) };
    let long = |at: usize, word: u64| -> Harm { Box::new(move |image| put64(image, at, word)) };
    let (backing, data) = (trap.to_owned(), trap.to_owned());
    let extension = |image: &mut Vec<u8>, kind: u32, data: &[u8]| {
        put32(image, 104, kind);
        put32(image, 108, data.len() as u32);
        image[112..112 + data.len()].copy_from_slice(data);
    };
    vec![
        (
            "a backing file",
            Box::new(move |image: &mut Vec<u8>| {
                image[1024..1024 + backing.len()].copy_from_slice(backing.as_bytes());
                put64(image, 8, 1024);
                put32(image, 16, backing.len() as u32);
            }) as Harm,
        ),
        ("a backing file without a name", long(8, 1024)),
        ("a backing name without a place", word(16, 9)),
        (
            "a data file",
            Box::new(move |image: &mut Vec<u8>| {
                put64(image, 72, 4);
                extension(image, 0x4441_5441, data.as_bytes());
            }),
        ),
        (
            "a data file that no feature tells of",
            Box::new(move |image: &mut Vec<u8>| extension(image, 0x4441_5441, b"/etc/passwd")),
        ),
        ("a data file without a name", long(72, 4)),
        ("not closed", long(72, 1)),
        ("marked as damaged", long(72, 2)),
        ("another compression", long(72, 8)),
        ("entries of sub-clusters", long(72, 16)),
        ("a feature that nobody knows", long(72, 1 << 40)),
        ("all features", long(72, u64::MAX)),
        ("another magic", word(0, 0x4b44_4d56)),
        ("a version of old", word(4, 1)),
        ("a version to come", word(4, 4)),
        ("tiny clusters", word(20, 8)),
        ("huge clusters", word(20, 22)),
        ("clusters past all shifts", word(20, 64)),
        ("clusters of all ones", word(20, u32::MAX)),
        ("2^63 bytes", long(24, 1 << 63)),
        ("2^64 - 1 bytes", long(24, u64::MAX)),
        ("more than any volume", long(24, (1 << 46) + 512)),
        ("more than the tables map", long(24, 600 * MIB)),
        ("encrypted, old", word(32, 1)),
        ("encrypted, new", word(32, 2)),
        ("an encryption header", Box::new(move |image: &mut Vec<u8>| extension(image, 0x0537_be77, &[0; 16]))),
        ("a huge first level", word(36, u32::MAX)),
        ("a first level of 33 MiB", word(36, 33 << 17)),
        ("a first level past the end", word(36, 65536)),
        ("no first level", word(36, 0)),
        ("a first level far outside", long(40, 1 << 50)),
        ("a first level at the last byte", long(40, u64::MAX)),
        ("a first level between clusters", long(40, L1 as u64 + 512)),
        ("a first level that is the header", long(40, 0)),
        ("counts outside", long(48, 1 << 40)),
        ("counts between clusters", long(48, 1000)),
        ("counts that are the first level", long(48, L1 as u64)),
        ("counts without end", word(56, u32::MAX)),
        ("no counts", word(56, 0)),
        ("snapshots inside", word(60, 1)),
        ("snapshots without end", word(60, u32::MAX)),
        ("counts wider than there are", word(96, 7)),
        ("counts past all shifts", word(96, u32::MAX)),
        ("a short header", word(100, 72)),
        ("a long header", word(100, 1 << 30)),
        ("an odd header", word(100, 105)),
        (
            "extensions that do not end",
            Box::new(|image: &mut Vec<u8>| {
                image[104..CLUSTER]
                    .chunks_exact_mut(8)
                    .for_each(|words| words.copy_from_slice(&[9, 9, 9, 9, 0, 0, 0, 0]));
            }),
        ),
        (
            "an extension without end",
            Box::new(|image: &mut Vec<u8>| {
                put32(image, 104, 0x1234_5678);
                put32(image, 108, u32::MAX);
            }),
        ),
        ("a second level outside", long(L1, (1 << 40) | COPIED)),
        ("a second level between clusters", long(L1, (L2 as u64 + 512) | COPIED)),
        ("a second level that is the first", long(L1, L1 as u64 | COPIED)),
        ("a second level that is the header's", long(L1, 1 << 9)),
        ("a second level with odd bits", long(L1, L2 as u64 | COPIED | 2)),
        ("data outside", long(L2, (1 << 50) | COPIED)),
        ("data between clusters", long(L2, (DATA + 512) | COPIED)),
        ("data that are a table: a loop", long(L2, L2 as u64 | COPIED)),
        ("data that are the first level: a loop", long(L2, L1 as u64 | COPIED)),
        ("data that are the counts", long(L2, (2 * CLUSTER as u64) | COPIED)),
        ("data that are the header", long(L2, 1 << 16)),
        ("data twice", long(L2 + 8, DATA | COPIED)),
        ("data with odd bits", long(L2, DATA | COPIED | (1 << 61))),
        ("compressed data outside", long(L2, (1 << 62) | (1 << 50))),
        ("compressed data that are the header", long(L2, (1 << 62) | 100)),
        ("compressed data that are a table", long(L2, (1 << 62) | L2 as u64)),
        ("compressed data past the end", long(L2, (1 << 62) | (127 << 54) | (DATA + 60000))),
        (
            "a bomb: the same data packed many times over",
            Box::new(|image: &mut Vec<u8>| {
                put64(image, 24, 512 * MIB);
                (0..8192).for_each(|at| put64(image, L2 + 8 * at, (1 << 62) | (7 << 54) | DATA));
            }),
        ),
        ("a count of nothing for what is in use", Box::new(|image: &mut Vec<u8>| image[2 * CLUSTER + 11] = 0)),
        ("a table of counts with odd bits", long(CLUSTER, (2 * CLUSTER as u64) | 1)),
        ("a block of counts outside", long(CLUSTER, 1 << 45)),
        ("a block of counts that is a table", long(CLUSTER, L2 as u64)),
        ("a block of counts twice", long(CLUSTER + 8, 2 * CLUSTER as u64)),
        ("cut off in the header", Box::new(|image: &mut Vec<u8>| image.truncate(60))),
        ("cut off behind the header", Box::new(|image: &mut Vec<u8>| image.truncate(CLUSTER))),
        ("cut off before the data", Box::new(|image: &mut Vec<u8>| image.truncate(5 * CLUSTER))),
        ("nothing", Box::new(|image: &mut Vec<u8>| image.clear())),
        ("zeros", Box::new(|image: &mut Vec<u8>| image.fill(0))),
        ("ones", Box::new(|image: &mut Vec<u8>| image.fill(0xff))),
        (
            "an old version with a new feature",
            Box::new(|image: &mut Vec<u8>| {
                put32(image, 4, 2);
                put64(image, L2, DATA | COPIED | 1);
            }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_do_harm_are_refused_and_nothing_is_left_of_them() {
    for ground in grounds() {
        let mut lab = ground.lab(1 << 30).await;
        let harms = harms(&trap(lab.site.ground.folder.path()));
        assert!(harms.len() >= 60);
        let mut taken = Vec::new();
        let volume = lab.create(600 * MIB).await;
        for (name, harm) in harms {
            let mut image = good();
            harm(&mut image);
            let length = image.len() as u64;
            let import = lab.site.volumes().import(volume, length, body(&image), Unit::by(tester()));
            let answer = tokio::time::timeout(Duration::from_secs(20), import).await;
            match answer.unwrap_or_else(|_| panic!("{name}: it takes too long")) {
                Err(Error::Store(store::Error::Invalid(_))) => {}
                answer => taken.push((name, answer.map(drop))),
            }
        }
        assert!(taken.is_empty(), "{taken:?}");
        assert_eq!(lab.site.bytes().await, [(600 * MIB, 0); 2]);
        assert_eq!(lab.layers().await, (1, 0));
        let image = good();
        lab.site.volumes().import(volume, image.len() as u64, body(&image), Unit::by(tester())).await.unwrap();
        lab.settle().await;
        lab.wrote(volume, 0, &[7; CLUSTER]);
        lab.check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_any_byte_of_its_metadata_changed_is_refused_or_read_within_its_bounds() {
    for ground in grounds().into_iter().take(1) {
        let mut lab = ground.lab(1 << 30).await;
        let mut volume = lab.create(600 * MIB).await;
        let rounds = std::env::var("PLIMSOLL_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
        for round in 0..rounds {
            let (mut image, dice) = (good(), noise(round, 8));
            let places = [0..112, CLUSTER..CLUSTER + 16, 2 * CLUSTER..2 * CLUSTER + 16, L1..L1 + 16, L2..L2 + 32];
            let place = places[usize::from(dice[0]) % places.len()].clone();
            for byte in dice[2..4].iter().zip(&dice[4..6]) {
                image[place.start + usize::from(*byte.0) % place.len()] = *byte.1;
            }
            let import = lab.site.volumes().import(volume, image.len() as u64, body(&image), Unit::by(tester()));
            match tokio::time::timeout(Duration::from_secs(20), import).await.unwrap() {
                Ok(_) => {
                    for _ in 0..100 {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        lab.site.ground.clock.advance(3_000_000);
                        let rows = lab.site.store.read(|tx| { let mut v = vec![]; for r in tx.query("SELECT state, attempts, error, kind, progress FROM jobs WHERE state <> 'done' LIMIT 3", &[])? { v.push(format!("{r:?}")); } Ok(v)}).await.unwrap();
                        if rows.is_empty() {
                            break;
                        }
                        eprintln!("{round} {rows:?}");
                    }
                    lab.settle().await;
                    // One that could not be read after all takes its volume with it.
                    if lab.site.volume(volume).await.is_none() {
                        volume = lab.create(600 * MIB).await;
                    }
                }
                Err(Error::Store(store::Error::Invalid(_))) => {}
                Err(error) => panic!("round {round}: {error}"),
            }
        }
        lab.site.assert_sound().await;
    }
}
