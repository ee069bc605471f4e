//! From the text to a [`Site`]: the top of the file and its supply side.

use ledger::{Catalog, Name};
use toml::de::DeTable;

use crate::model::{LibraryDrive, License, Operator, Places, Pool, Repository, Site, StorageType};
use crate::read::{Reading, Table};
use crate::{SiteError, Source, check, parse_tenant};

/// The most separate places a storage type has: each is a folder of its own.
const PLACES_MAX: u64 = 64;

impl Site {
    /// Reads a site file, and tells every fault there is in it.
    ///
    /// `resolve` fetches what `env:NAME` and `file:PATH` name, so that this crate reaches neither.
    pub fn parse(text: &str, resolve: &dyn Fn(Source<'_>) -> Result<String, String>) -> Result<Site, Vec<SiteError>> {
        let reading = Reading::new(text, resolve);
        let (tables, broken) = DeTable::parse_recoverable(text);
        if !broken.is_empty() {
            // The parser's own words, without its excerpt: the line may hold a secret.
            let fault = |error: &toml::de::Error| SiteError {
                line: error.span().map(|span| reading.line(span.start)),
                place: String::new(),
                what: error.message().to_owned(),
                hint: None,
            };
            return Err(broken.iter().map(fault).collect());
        }
        let site = site(&reading, Table::root(&reading, tables.get_ref()));
        check::references(&site, &reading);
        let faults = reading.into_faults();
        if faults.is_empty() { Ok(site) } else { Err(faults) }
    }
}

fn site(reading: &Reading<'_>, top: Table<'_>) -> Site {
    // First, because limits below name them.
    let resources = top.tables("resource", "name");
    resources.into_iter().for_each(|table| declare(reading, table));
    let mut pools: Vec<Pool> = top.tables("pool", "name").into_iter().map(pool).collect();
    // The only pool there is needs no mark.
    if let [only] = pools.as_mut_slice() {
        only.default = true;
    }
    let default_pool = pools.iter().find(|pool| pool.default).map(|pool| pool.name.clone());
    let default_pool = default_pool.as_ref();
    let site = Site {
        catalog: Catalog::clone(&reading.catalog.borrow()),
        public_url: public_url(reading, &top),
        encryption_key: encryption_key(reading, &top),
        strict_csrf: top.flag("strict_csrf").unwrap_or_default(),
        operators: top.tables("operator", "email").into_iter().map(operator).collect(),
        repositories: each(&top, "repository", |table| repository(reading, table, default_pool)),
        storage_types: each(&top, "storage_type", |table| storage_type(reading, table, default_pool)),
        library_drives: each(&top, "library_drive", library_drive),
        licenses: each(&top, "license", license),
        tenants: each(&top, "tenant", parse_tenant::tenant),
        pools,
    };
    top.finish();
    site
}

fn each<'t, T>(top: &Table<'t>, noun: &'static str, read: impl Fn(Table<'t>) -> T) -> Vec<T> {
    top.tables(noun, "name").into_iter().map(read).collect()
}

fn declare(reading: &Reading<'_>, table: Table<'_>) {
    let name = table.need_text("name");
    if !name.is_empty()
        && let Err(error) = reading.catalog.borrow_mut().declare(&name)
    {
        reading.fault(table.line, &table.place, error.to_string());
    }
    table.finish();
}

fn public_url(reading: &Reading<'_>, top: &Table<'_>) -> Option<String> {
    let url = top.text("public_url")?;
    let trimmed = url.trim_end_matches('/');
    let host = trimmed.strip_prefix("https://").or_else(|| trimmed.strip_prefix("http://"));
    let odd = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '@');
    if host.is_none_or(|host| host.is_empty() || host.contains(odd)) {
        let what = format!("`public_url`: {url:?} is not of the form https://host or https://host:port");
        reading.fault(top.line_of("public_url"), "", what);
    }
    Some(trimmed.to_owned())
}

fn encryption_key(reading: &Reading<'_>, top: &Table<'_>) -> Option<crate::Secret> {
    let key = top.secret("encryption_key")?;
    if key.expose().len() != 64 || !key.expose().bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let what = "`encryption_key` must be 64 hex digits";
        let hint = Some("make one with: openssl rand -hex 32".to_owned());
        reading.hinted(top.line_of("encryption_key"), "", what, hint);
    }
    Some(key)
}

fn operator(table: Table<'_>) -> Operator {
    let email = table.need_email("email");
    let read = Operator {
        name: table.text("name").unwrap_or_else(|| email.clone()),
        email,
        uuid: table.uuid("uuid"),
        password: table.secret("password"),
        token: table.secret("token"),
        line: table.line,
    };
    table.finish();
    read
}

fn pool(table: Table<'_>) -> Pool {
    let read = Pool {
        name: table.need_name("name"),
        uuid: table.uuid("uuid"),
        default: table.flag("default").unwrap_or_default(),
        limits: table.limits("limits"),
        overcommit: table.overcommit("overcommit"),
        line: table.line,
    };
    table.finish();
    read
}

fn pool_of(reading: &Reading<'_>, table: &Table<'_>, default: Option<&Name>) -> Name {
    let pool = table.name("pool").or_else(|| default.cloned());
    pool.unwrap_or_else(|| {
        reading.fault(table.line, &table.place, "`pool` is missing, and no pool is the default one");
        "x".parse().expect("a letter is a name")
    })
}

fn repository(reading: &Reading<'_>, table: Table<'_>, default_pool: Option<&Name>) -> Repository {
    let read = Repository {
        name: table.need_name("name"),
        uuid: table.uuid("uuid"),
        pool: pool_of(reading, &table, default_pool),
        kind: table.choice("type", &["posix", "s3", "storj"]).unwrap_or_else(|| "posix".to_owned()),
        limits: table.limits("limits"),
        line: table.line,
    };
    table.finish();
    read
}

fn storage_type(reading: &Reading<'_>, table: Table<'_>, default_pool: Option<&Name>) -> StorageType {
    let (mut size_min, mut size_max) = (None, None);
    if let Some(size) = table.table("size") {
        (size_min, size_max) = (size.size("min"), size.size("max"));
        if size_min.zip(size_max).is_some_and(|(min, max)| min > max) {
            reading.fault(size.line, &table.place, "`size`: `min` is more than `max`");
        }
        size.finish();
    }
    let read = StorageType {
        name: table.need_name("name"),
        uuid: table.uuid("uuid"),
        default: table.flag("default").unwrap_or_default(),
        pool: pool_of(reading, &table, default_pool),
        limits: table.limits("limits"),
        places: places(reading, &table),
        size_min,
        size_max,
        line: table.line,
    };
    table.finish();
    read
}

fn places(reading: &Reading<'_>, table: &Table<'_>) -> Places {
    let folders = table.count("availability_groups");
    let paths: Vec<String> = table.texts("paths").into_iter().map(|(_, path)| path).collect();
    if folders.is_some() && !paths.is_empty() {
        reading.fault(
            table.line,
            &table.place,
            "`availability_groups` and `paths` say the same thing: give one of them",
        );
    }
    if folders.is_some_and(|count| !(1..=PLACES_MAX).contains(&count)) || paths.len() as u64 > PLACES_MAX {
        reading.fault(table.line, &table.place, format!("a storage type has 1 to {PLACES_MAX} separate places"));
    }
    match paths.is_empty() {
        true => Places::Folders(folders.unwrap_or(1).min(PLACES_MAX) as u32),
        false => Places::Paths(paths),
    }
}

fn library_drive(table: Table<'_>) -> LibraryDrive {
    let read = LibraryDrive {
        name: table.need_text("name"),
        uuid: table.uuid("uuid"),
        media: table.choice("media", &["disk", "cdrom"]).unwrap_or_else(|| "disk".to_owned()),
        size: table.need_size("size"),
        image: table.text("image"),
        meta: table.pairs("meta"),
        line: table.line,
    };
    table.finish();
    read
}

fn license(table: Table<'_>) -> License {
    let name = table.need_text("name");
    let read = License {
        long_name: table.text("long_name").unwrap_or_else(|| name.clone()),
        name,
        uuid: table.uuid("uuid"),
        user_metric: table.text("user_metric").unwrap_or_else(|| "smp".to_owned()),
        line: table.line,
    };
    table.finish();
    read
}
