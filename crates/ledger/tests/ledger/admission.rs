//! What is admitted, what is refused, and in whose name.

use crate::check;

#[test]
fn a_pending_claim_counts_until_it_is_settled() {
    check(
        "
        limit  site       bytes 100
        limit  site/acme  bytes  60
        claim  c1  site/acme  bytes 50   -> pending
        claim  c2  site/acme  bytes 20   -> site/acme: bytes limit 60, used 0, pending 50, asked 20
        settle c1  bytes 40              -> held
        claim  c2  site/acme  bytes 20   -> pending
        expect site  bytes  used 40  pending 20
    ",
    );
}

#[test]
fn a_claim_is_settled_as_it_was_reserved_if_nothing_else_is_said_and_only_once() {
    check(
        "
        limit  site  bytes 100
        claim  c1  site  bytes 70   -> pending
        settle c1                   -> held
        settle c1                   -> held already
        expect site  bytes  used 70  pending 0
    ",
    );
}

#[test]
fn settling_at_more_than_was_reserved_asks_for_the_difference() {
    check(
        "
        limit  site  bytes 100
        claim  c1  site  bytes 60
        claim  c2  site  bytes 30
        settle c1  bytes 71   -> site: bytes limit 100, used 0, pending 90, asked 11
        expect site  bytes  used 0  pending 90
        settle c1  bytes 70   -> held
        expect site  bytes  used 70  pending 30
    ",
    );
}

#[test]
fn a_refusal_names_every_limit_by_resource_then_demand_from_the_leaf_up_then_supply() {
    check(
        "
        limit  site             bytes 100  objects 5
        limit  site/acme        bytes  60
        limit  site/acme/team   bytes  10  objects 2
        limit  supply:pool      bytes  80
        limit  supply:pool/fast bytes  20  objects 3
        claim  c1  site/acme/team  supply:pool/fast  objects 9  bytes 200
            -> site/acme/team: bytes limit 10, used 0, pending 0, asked 200
            and site/acme: bytes limit 60, used 0, pending 0, asked 200
            and site: bytes limit 100, used 0, pending 0, asked 200
            and pool/fast: bytes limit 20, used 0, pending 0, asked 200
            and pool: bytes limit 80, used 0, pending 0, asked 200
            and site/acme/team: objects limit 2, used 0, pending 0, asked 9
            and site: objects limit 5, used 0, pending 0, asked 9
            and pool/fast: objects limit 3, used 0, pending 0, asked 9
        expect site  bytes  used 0  pending 0
        expect supply:pool  objects  used 0  pending 0
    "
        .replace("\n            ->", " ->")
        .as_str(),
    );
}

#[test]
fn only_the_limits_that_would_be_passed_refuse() {
    check(
        "
        limit  site         bytes 100
        limit  site/acme    bytes  10
        limit  supply:pool  bytes  15
        claim  c1  site/acme  supply:pool  bytes 12   -> site/acme: bytes limit 10, used 0, pending 0, asked 12
        claim  c2  site       supply:pool  bytes 15   -> pending
        claim  c3  site/acme  supply:pool  bytes 1    -> pool: bytes limit 15, used 0, pending 15, asked 1
        claim  c4  site/acme               bytes 10   -> pending
    ",
    );
}

#[test]
fn a_full_resource_refuses_the_whole_claim() {
    check(
        "
        limit  site  bytes 100  objects 1
        claim  c1  site  bytes 10  objects 1   -> pending
        claim  c2  site  bytes 10  objects 1   -> site: objects limit 1, used 0, pending 1, asked 1
        expect site  bytes  pending 10
    ",
    );
}

#[test]
fn lowering_a_limit_under_use_admits_nothing_more_and_loses_nothing() {
    check(
        "
        limit  site  bytes 100
        claim  c1  site  bytes 50  held
        claim  c2  site  bytes 30
        limit  site  bytes 40           -> done
        expect site  bytes  limit 40  used 50  pending 30
        claim  c3  site  bytes 1        -> site: bytes limit 40, used 50, pending 30, asked 1
        set    c1  bytes 51             -> site: bytes limit 40, used 50, pending 30, asked 1
        settle c2                       -> held
        release c1                      -> gone
        claim  c3  site  bytes 10       -> pending
        claim  c4  site  bytes 1        -> site: bytes limit 40, used 30, pending 10, asked 1
    ",
    );
}

#[test]
fn what_shrinks_is_never_refused_even_over_the_limit() {
    check(
        "
        limit  site       bytes 100  objects 10
        limit  site/acme  bytes 100
        limit  supply:p   bytes 100
        claim  c1  site/acme  supply:p  bytes 90  objects 9  held
        limit  site  bytes 10  objects 0
        limit  site/acme  bytes 0
        limit  supply:p  bytes 5
        set    c1  bytes 89  objects 9  -> held
        set    c1  bytes 89             -> held
        move   c1  site                 -> held
        expect site/acme  bytes  used 0
        move   c1  nobody               -> held
        expect site      bytes  used 0
        expect supply:p  bytes  used 89
        release c1                      -> gone
        expect supply:p  bytes  used 0
    ",
    );
}

#[test]
fn settling_at_less_over_the_limit_is_let_through() {
    check(
        "
        limit  site  bytes 100
        claim  c1  site  bytes 90
        limit  site  bytes 1
        settle c1  bytes 80   -> held
        expect site  bytes  used 80  pending 0
    ",
    );
}

#[test]
fn one_resource_may_grow_while_another_is_over_its_limit() {
    check(
        "
        limit  site  bytes 100  objects 10
        claim  c1  site  bytes 50  objects 5  held
        limit  site  bytes 10
        set    c1  bytes 50  objects 6   -> held
        set    c1  bytes 51  objects 7   -> site: bytes limit 10, used 50, pending 0, asked 1
        expect site  objects  used 6
    ",
    );
}

#[test]
fn a_limit_is_filled_exactly() {
    check(
        "
        limit  site  bytes 100
        claim  c1  site  bytes 99   -> pending
        claim  c2  site  bytes 1    -> pending
        claim  c3  site  bytes 1    -> site: bytes limit 100, used 0, pending 100, asked 1
        claim  c4  site  bytes 0    -> pending
    ",
    );
}

#[test]
fn a_move_between_leaves_charges_what_they_share_with_the_difference_only() {
    check(
        "
        limit  site         bytes 100
        limit  site/acme    bytes 100
        limit  site/acme/a  bytes 100
        limit  site/acme/b  bytes  50
        limit  site/globex  bytes 100
        claim  c1  site/acme/a  bytes 60  held
        claim  c2  site/globex  bytes 40  held
        # The site is full, and the move takes nothing from it.
        move   c1  site/acme/b   -> site/acme/b: bytes limit 50, used 0, pending 0, asked 60
        set    c1  bytes 50      -> held
        move   c1  site/acme/b   -> held
        expect site/acme/a  bytes  used 0
        expect site/acme/b  bytes  used 50
        expect site/acme    bytes  used 50
        move   c1  site/globex   -> held
        expect site/acme    bytes  used 0
        expect site/globex  bytes  used 90
        expect site         bytes  used 90
        move   c1  site/globex   -> held
    ",
    );
}

#[test]
fn a_move_up_the_path_is_free_and_down_again_is_checked() {
    check(
        "
        limit  site       bytes 100
        limit  site/acme  bytes  60
        claim  c1  site/acme  bytes 60  held
        claim  c2  site       bytes 40  held
        move   c1  site           -> held
        limit  site/acme  bytes 59
        move   c1  site/acme      -> site/acme: bytes limit 59, used 0, pending 0, asked 60
        limit  site/acme  bytes 60
        move   c1  site/acme      -> held
    ",
    );
}

#[test]
fn what_nobody_asks_for_any_more_lies_on_supply_and_can_be_given_to_somebody_again() {
    check(
        "
        limit  site      bytes 10
        limit  supply:p  bytes 10
        claim  c1  site  supply:p  bytes 10  held
        move   c1  nobody                        -> held
        expect site      bytes  used 0
        expect supply:p  bytes  used 10
        claim  c2  site  bytes 1                 -> pending
        claim  c3  site  supply:p  bytes 1       -> p: bytes limit 10, used 10, pending 0, asked 1
        move   c1  site                          -> site: bytes limit 10, used 0, pending 1, asked 10
        release c2
        move   c1  site                          -> held
    ",
    );
}

#[test]
fn an_expired_claim_gives_back_what_it_took() {
    check(
        "
        limit  site  bytes 10
        claim  c1  site  bytes 10  until 100
        now 99
        claim  c2  site  bytes 1    -> site: bytes limit 10, used 0, pending 10, asked 1
        now 100
        expect site  bytes  pending 0
        settle c1                   -> no such claim
        release c1                  -> no such claim
        claim  c2  site  bytes 10   -> pending
    ",
    );
}

#[test]
fn a_released_claim_is_not_released_again() {
    check(
        "
        limit  site  bytes 10
        claim  c1  site  bytes 10  held
        release c1             -> gone
        release c1             -> no such claim
        set     c1  bytes 1    -> no such claim
        expect site  bytes  used 0
    ",
    );
}
