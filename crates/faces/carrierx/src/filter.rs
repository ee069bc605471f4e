//! `filter` and `order` of the lists (section 1.3): read into conditions of a SELECT.
//!
//! **Always.** A name is looked up among the noun's columns and a value is a parameter: nothing of what was asked is SQL.

use jiff::Timestamp;
use store::Value;

use crate::error::Error;
use crate::select::Select;

/// The longest filter, how many conditions it joins, and how many values `in` has.
const FILTER_MAX: usize = 8192;
const CONDITIONS_MAX: usize = 32;
const VALUES_MAX: usize = 256;
/// How many keys an order has.
const ORDERS_MAX: usize = 8;

/// What can be filtered and ordered by.
pub struct Column {
    /// As in the object.
    pub name: &'static str,
    /// As in the SELECT.
    pub sql: &'static str,
    /// What its values are.
    pub kind: Kind,
}

/// What the values of a column are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Texts, compared letter by letter.
    Text,
    /// Numbers.
    Integer,
    /// Yes or no.
    Flag,
    /// Moments.
    Time,
}

/// The columns of a noun.
pub struct Columns {
    /// Those with a name of their own.
    pub named: &'static [Column],
    /// What dotted names begin with, and the SELECT of the value of which `{}` is the rest of the name.
    pub nested: Option<(&'static str, &'static str)>,
    /// When the noun was made, and its id: what decides between equals, and the order when none is asked for.
    pub made: [&'static str; 2],
}

/// A word or a sign of a filter.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Comma,
}

impl Columns {
    /// Adds the conditions of a filter.
    pub fn filter(&self, text: &str, select: &mut Select) -> Result<(), Error> {
        let wrong = |why: &str| Error::query("filter", why);
        let tokens = tokens(text).map_err(wrong)?;
        let mut rest = tokens.as_slice();
        for _ in 0..CONDITIONS_MAX {
            let [Token::Word(name), Token::Word(op), after @ ..] = rest else {
                return Err(wrong("a condition is: field operator value"));
            };
            let values = after.iter().take_while(|token| !matches!(token, Token::Word(word) if word == "and"));
            let (values, after) = after.split_at(values.count());
            self.condition(name, op, values, select)?;
            match after {
                [] => return Ok(()),
                [_, left @ ..] => rest = left,
            }
        }
        Err(wrong("too many conditions"))
    }

    fn condition(&self, name: &str, op: &str, tokens: &[Token], select: &mut Select) -> Result<(), Error> {
        let wrong = |why: String| Error::query("filter", why);
        let (sql, kind) = self.find(name, select).ok_or_else(|| wrong(format!("there is no field {name}")))?;
        if op == "in" {
            let values = list(tokens).ok_or_else(|| wrong("in takes values with commas between".to_owned()))?;
            let places = values.into_iter().map(|value| Ok(select.bind(typed(kind, value).map_err(&wrong)?)));
            let places = places.collect::<Result<Vec<_>, Error>>()?;
            select.and(format!("{sql} IN ({})", places.join(", ")));
            return Ok(());
        }
        let (text, is_word) = match tokens {
            [Token::Word(text)] => (text, true),
            [Token::Quoted(text)] => (text, false),
            _ => return Err(wrong("conditions are joined by and; a value of several words needs quotes".to_owned())),
        };
        if is_word && text == "null" {
            match op {
                "eq" => select.and(format!("{sql} IS NULL")),
                "ne" => select.and(format!("{sql} IS NOT NULL")),
                _ => return Err(wrong("null is compared by eq or ne".to_owned())),
            }
            return Ok(());
        }
        if op == "like" {
            if kind != Kind::Text {
                return Err(wrong(format!("{name} is no text, which like compares")));
            }
            let place = select.bind(pattern(text));
            select.and(format!("lower({sql}) LIKE {place} ESCAPE '!'"));
            return Ok(());
        }
        let sign = match op {
            "eq" => "=",
            "ne" => "<>",
            "gt" => ">",
            "ge" => ">=",
            "lt" => "<",
            "le" => "<=",
            _ => return Err(wrong(format!("there is no operator {op}"))),
        };
        let place = select.bind(typed(kind, text).map_err(wrong)?);
        select.and(match sign {
            // What has no value has another value.
            "<>" => format!("({sql} <> {place} OR {sql} IS NULL)"),
            sign => format!("{sql} {sign} {place}"),
        });
        Ok(())
    }

    fn find(&self, name: &str, select: &mut Select) -> Option<(String, Kind)> {
        if let Some(column) = self.named.iter().find(|column| column.name == name) {
            return Some((column.sql.to_owned(), column.kind));
        }
        let (outer, sql) = self.nested?;
        let inner = name.strip_prefix(outer)?.strip_prefix('.')?;
        let place = select.bind(inner);
        Some((sql.replace("{}", &place), Kind::Text))
    }

    /// The text after ORDER BY.
    pub fn order(&self, text: Option<&str>) -> Result<String, Error> {
        let wrong = |why: String| Error::query("order", why);
        match text.map(str::trim) {
            None => return Ok(self.made.join(", ")),
            Some("shuffle") => return Ok("random()".to_owned()),
            Some(_) => {}
        }
        let (mut keys, mut first) = (Vec::new(), None);
        for key in text.unwrap_or_default().split(',') {
            let mut words = key.split_whitespace();
            let (name, direction, more) = (words.next().unwrap_or_default(), words.next(), words.next());
            let column = self.named.iter().find(|column| column.name == name);
            let column = column.ok_or_else(|| wrong(format!("there is no field {name:?}")))?;
            let direction = match (direction, more) {
                (None | Some("asc"), None) => "ASC",
                (Some("desc"), None) => "DESC",
                _ => return Err(wrong("a key is: field, or field asc, or field desc".to_owned())),
            };
            // The two databases differ in where nothing comes.
            let nothing = if direction == "ASC" { "NULLS FIRST" } else { "NULLS LAST" };
            keys.push(format!("{} {direction} {nothing}", column.sql));
            first.get_or_insert(direction);
        }
        if keys.len() > ORDERS_MAX {
            return Err(wrong("too many keys".to_owned()));
        }
        // Equals come in the direction of the first key, so that the one order is the other backwards.
        let direction = first.unwrap_or("ASC");
        let [at, id] = self.made;
        Ok(format!("{}, {at} {direction}, {id} {direction}", keys.join(", ")))
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, &'static str> {
    if text.len() > FILTER_MAX {
        return Err("it is too long");
    }
    let mut tokens = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            _ if letter.is_whitespace() => {}
            ',' => tokens.push(Token::Comma),
            '"' | '\'' => {
                let mut inner = String::new();
                loop {
                    match letters.next() {
                        Some(end) if end == letter => break,
                        Some(other) => inner.push(other),
                        None => return Err("a quote is not closed"),
                    }
                }
                tokens.push(Token::Quoted(inner));
            }
            '(' | ')' => return Err("parentheses are not supported"),
            _ => {
                let mut word = String::from(letter);
                let ends = |letter: &char| letter.is_whitespace() || matches!(letter, ',' | '(' | ')');
                while let Some(next) = letters.next_if(|letter| !ends(letter)) {
                    word.push(next);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

/// Values with commas between them.
fn list(tokens: &[Token]) -> Option<Vec<&str>> {
    let mut values = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Word(text) | Token::Quoted(text) if at % 2 == 0 => values.push(text.as_str()),
            Token::Comma if at % 2 == 1 => {}
            _ => return None,
        }
    }
    (values.len() * 2 == tokens.len() + 1 && values.len() <= VALUES_MAX).then_some(values)
}

/// A value as the column's.
fn typed(kind: Kind, text: &str) -> Result<Value, String> {
    let none = |what: &str| format!("{text:?} is no {what}");
    Ok(match kind {
        Kind::Text => text.into(),
        Kind::Integer => text.parse::<i64>().map_err(|_| none("integer"))?.into(),
        Kind::Flag => text.parse::<bool>().map_err(|_| none("boolean"))?.into(),
        Kind::Time => text.parse::<Timestamp>().map_err(|_| none("date"))?.as_microsecond().into(),
    })
}

/// A pattern in which `%` alone is more than itself. Letters are compared in lower case, which both databases can.
fn pattern(text: &str) -> String {
    text.to_ascii_lowercase().replace('!', "!!").replace('_', "!_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns = Columns {
        named: &[
            Column { name: "name", sql: "t.name", kind: Kind::Text },
            Column { name: "size", sql: "t.size", kind: Kind::Integer },
            Column { name: "flag", sql: "t.flag", kind: Kind::Flag },
            Column { name: "at", sql: "t.at", kind: Kind::Time },
        ],
        nested: Some(("extra", "(SELECT v FROM e WHERE n = {})")),
        made: ["t.made", "t.id"],
    };

    fn read(text: &str) -> Option<(String, Vec<Value>)> {
        let mut select = Select::new();
        COLUMNS.filter(text, &mut select).ok()?;
        Some((select.conditions(), select.values().to_vec()))
    }

    #[test]
    fn conditions_become_sql_and_values_parameters() {
        assert_eq!(read("name eq 'x y'"), Some(("t.name = $1".to_owned(), vec!["x y".into()])));
        let both = read("size gt 5 and flag eq true").unwrap();
        assert_eq!(both, ("t.size > $1 AND t.flag = $2".to_owned(), vec![5_i64.into(), true.into()]));
        assert_eq!(read("name in a, \"b c\",d").unwrap().0, "t.name IN ($1, $2, $3)");
        assert_eq!(read("name like '%A_%'").unwrap().1, vec!["%a!_%".into()]);
        assert_eq!(read("name eq null and name ne null").unwrap().0, "t.name IS NULL AND t.name IS NOT NULL");
        assert_eq!(read("name eq 'null'").unwrap().0, "t.name = $1");
        let nested = read("extra.a.b eq x").unwrap();
        assert_eq!(nested, ("(SELECT v FROM e WHERE n = $1) = $2".to_owned(), vec!["a.b".into(), "x".into()]));
        assert_eq!(read("at ge 1970-01-01T00:00:01Z").unwrap().1, vec![1_000_000_i64.into()]);
    }

    #[test]
    fn what_is_no_filter_is_told() {
        for odd in [
            "",
            "name",
            "name eq",
            "name eq a b",
            "name eq a or name eq b",
            "not name eq a",
            "(name eq a)",
            "name eq 'a",
            "nothing eq a",
            "name is a",
            "size eq a",
            "size like 5",
            "flag eq yes",
            "at eq today",
            "name eq a and",
            "name in a b",
            "name in a,",
            "size gt null",
            "other.a eq x",
            "name;DROP eq a",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
        let many = vec!["size gt 1"; CONDITIONS_MAX + 1].join(" and ");
        assert_eq!(read(&many), None);
    }

    #[test]
    fn an_order_is_total_and_backwards_the_same() {
        let order = |text| COLUMNS.order(text).ok();
        assert_eq!(order(None).unwrap(), "t.made, t.id");
        assert_eq!(order(Some("name")).unwrap(), "t.name ASC NULLS FIRST, t.made ASC, t.id ASC");
        assert_eq!(order(Some("name desc")).unwrap(), "t.name DESC NULLS LAST, t.made DESC, t.id DESC");
        assert_eq!(order(Some("shuffle")).unwrap(), "random()");
        for odd in ["nothing", "name down", "name desc x", "name,", "name;x"] {
            assert_eq!(order(Some(odd)), None, "{odd}");
        }
    }
}
