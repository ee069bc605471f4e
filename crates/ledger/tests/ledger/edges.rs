//! Nothing, everything, and the largest number.

use ledger::{AMOUNT_MAX, Amounts, Resource};

use crate::check;

#[test]
fn a_limit_of_zero_admits_nothing_but_nothing() {
    check(
        "
        limit  site  bytes 0
        claim  c1  site  bytes 1             -> site: bytes limit 0, used 0, pending 0, asked 1
        claim  c2  site  bytes 0             -> pending
        claim  c3  site  bytes 0  objects 1  -> pending
        settle c2                            -> held
    ",
    );
}

#[test]
fn what_has_no_limit_is_unlimited_up_to_the_largest_amount() {
    check(
        "
        limit  site  objects 1
        claim  c1  site  bytes max   -> pending
        expect site  bytes  limit none  pending 9223372036854775807
        claim  c2  site  bytes 1     -> site: bytes limit 9223372036854775807, used 0, pending 9223372036854775807, asked 1
        release c1
        claim  c2  site  bytes 1     -> pending
    ",
    );
}

#[test]
fn a_limit_can_be_taken_away_and_set_again() {
    check(
        "
        limit  site  bytes 10
        limit  site/acme  bytes 10
        limit  site/acme  bytes none
        expect site  bytes  promised 0
        limit  site  bytes none
        claim  c1  site/acme  bytes 1000  held
        limit  site  bytes 500
        claim  c2  site/acme  bytes 1   -> site: bytes limit 500, used 1000, pending 0, asked 1
    ",
    );
}

#[test]
fn the_largest_amount_is_filled_to_the_last_unit_and_never_wraps() {
    check(
        "
        limit  site  bytes max
        limit  site/acme  bytes max
        claim  c1  site/acme  bytes max-1  held
        claim  c2  site       bytes 1           -> pending
        claim  c3  site       bytes 1           -> site: bytes limit 9223372036854775807, used 9223372036854775806, pending 1, asked 1
        claim  c4  site       bytes max         -> site: bytes limit 9223372036854775807, used 9223372036854775806, pending 1, asked 9223372036854775807
        set    c1  bytes max                    -> site: bytes limit 9223372036854775807, used 9223372036854775806, pending 1, asked 1
        settle c2  bytes max                    -> site: bytes limit 9223372036854775807, used 9223372036854775806, pending 1, asked 9223372036854775806
        release c2
        set    c1  bytes max                    -> held
        expect site  bytes  used 9223372036854775807  pending 0
    ",
    );
}

#[test]
fn used_and_pending_together_stay_within_the_largest_amount() {
    check(
        "
        limit  site
        claim  c1  site  bytes max-10  held
        claim  c2  site  bytes 11   -> site: bytes limit 9223372036854775807, used 9223372036854775797, pending 0, asked 11
        claim  c2  site  bytes 10   -> pending
        claim  c3  site  bytes 1    -> site: bytes limit 9223372036854775807, used 9223372036854775797, pending 10, asked 1
    ",
    );
}

#[test]
fn promises_are_not_bounded_by_the_largest_amount() {
    check(
        "
        limit  site    bytes max
        limit  site/a  bytes max
        limit  site/b  bytes max
        limit  site/c  bytes max
        expect site  bytes  promised 27670116110564327421
        remove site/b
        expect site  bytes  promised 18446744073709551614
    ",
    );
}

#[test]
fn an_overcommit_of_the_largest_limit_does_not_wrap_either() {
    check(
        "
        limit  site    bytes max
        overcommit site 1000
        limit  site/a  bytes max
        limit  site/b  bytes max
        overcommit site 1.5
        limit  site/c  bytes 1   -> site: bytes limit 9223372036854775807 at overcommit 1.5 promises at most 13835058055282163710, asked 18446744073709551615 in all
    ",
    );
}

#[test]
fn an_amount_past_the_largest_is_not_one() {
    let amounts = Amounts::new().with(Resource::BYTES, AMOUNT_MAX).unwrap();
    for units in [AMOUNT_MAX + 1, u64::MAX] {
        let error = amounts.clone().with(Resource::OBJECTS, units).unwrap_err();
        assert_eq!(error.to_string(), format!("objects: an amount is 0 to 9223372036854775807, not {units}"));
    }
}
