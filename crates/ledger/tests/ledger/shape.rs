//! The tree itself: promises, ends, what is frozen.

use crate::check;

#[test]
fn promised_is_the_sum_of_the_childrens_limits_and_not_of_theirs() {
    check(
        "
        limit  site      bytes 100
        limit  site/a    bytes  60
        limit  site/b    bytes  70  objects 3
        limit  site/b/x  bytes 500
        limit  site/c
        expect site    bytes    promised 130
        expect site    objects  promised 3
        expect site/b  bytes    promised 500
        limit  site/a  bytes 10
        expect site    bytes    promised 80
        remove site/b           -> occupied
        remove site/b/x
        remove site/b
        expect site    bytes    promised 10
        expect site    objects  promised 0
    ",
    );
}

#[test]
fn a_node_with_overcommit_promises_no_more_than_its_ratio_allows() {
    check(
        "
        limit  site    bytes 100
        overcommit site 1.5
        limit  site/a  bytes 100   -> done
        limit  site/b  bytes 51    -> site: bytes limit 100 at overcommit 1.5 promises at most 150, asked 151 in all
        limit  site/b  bytes 50    -> done
        limit  site/a  bytes 101   -> site: bytes limit 100 at overcommit 1.5 promises at most 150, asked 151 in all
        limit  site/a  bytes 99    -> done
        limit  site/b  objects 7   -> done
    ",
    );
}

#[test]
fn overcommit_is_checked_at_that_node_only_and_only_when_a_childs_limit_grows() {
    check(
        "
        limit  site      bytes 100
        limit  site/a    bytes  80
        limit  site/b    bytes  80
        overcommit site 1.0              -> done
        limit  site/a    bytes 81        -> site: bytes limit 100 at overcommit 1 promises at most 100, asked 161 in all
        limit  site/a    bytes 70        -> done
        limit  site/a    bytes 70        -> done
        limit  site/a/x  bytes 1000      -> done
        limit  site      bytes 10        -> done
        limit  site/a    bytes none      -> done
        limit  site/a    bytes 1         -> site: bytes limit 10 at overcommit 1 promises at most 10, asked 81 in all
        overcommit site none
        limit  site/a    bytes 1000      -> done
    ",
    );
}

#[test]
fn overcommit_of_what_has_no_limit_is_not_checked() {
    check(
        "
        limit  site    objects 1
        overcommit site 1.0
        limit  site/a  bytes 1000   -> done
        limit  site/a  objects 2    -> site: objects limit 1 at overcommit 1 promises at most 1, asked 2 in all
    ",
    );
}

#[test]
fn a_node_may_promise_more_than_it_has_and_never_holds_more() {
    check(
        "
        limit  site    bytes 100
        limit  site/a  bytes  80
        limit  site/b  bytes  80
        claim  c1  site/a  bytes 80   -> pending
        claim  c2  site/b  bytes 80   -> site: bytes limit 100, used 0, pending 80, asked 80
        claim  c2  site/b  bytes 20   -> pending
    ",
    );
}

#[test]
fn a_frozen_node_admits_nothing_new_and_lets_releases_go() {
    check(
        "
        limit  site       bytes 100
        limit  site/acme  bytes 100
        limit  site/b     bytes 100
        claim  c1  site/acme  bytes 30
        claim  c2  site/b     bytes 30
        freeze site/acme
        claim  c3  site/acme  bytes 1   -> site/acme is frozen: its sums were found wrong; releases go on, new claims wait for an operator
        claim  c4  site/acme  bytes 0   -> pending
        set    c1  bytes 31             -> site/acme is frozen: its sums were found wrong; releases go on, new claims wait for an operator
        move   c2  site/acme            -> site/acme is frozen: its sums were found wrong; releases go on, new claims wait for an operator
        settle c1  bytes 20             -> held
        move   c1  site/b               -> held
        release c1                      -> gone
        claim  c5  site  bytes 1        -> pending
    ",
    );
}

#[test]
fn what_lies_under_a_frozen_or_ended_node_admits_nothing_new_either() {
    check(
        "
        limit  site
        limit  site/acme    bytes 100
        limit  site/acme/a  bytes 10
        freeze site/acme
        claim  c1  site/acme/a  bytes 1    -> site/acme is frozen: its sums were found wrong; releases go on, new claims wait for an operator
        limit  site/globex    bytes 100
        limit  site/globex/a  bytes 10
        ends   site/globex 50
        now 50
        claim  c1  site/globex/a  bytes 1  -> site/globex has expired: it admits nothing new
        # The limit is said too late: nothing is admitted there, whatever the limit.
        claim  c1  site/globex/a  bytes 11 -> site/globex has expired: it admits nothing new
    ",
    );
}

#[test]
fn a_node_admits_until_its_end_and_not_from_then_on() {
    check(
        "
        limit  site       bytes 100
        ends   site 1000
        now 999
        claim  c1  site  bytes 10   -> pending
        now 1000
        claim  c2  site  bytes 1    -> site has expired: it admits nothing new
        set    c1  bytes 11         -> site has expired: it admits nothing new
        set    c1  bytes 9          -> pending
        settle c1                   -> held
        ends   site 1001
        claim  c2  site  bytes 1    -> pending
        ends   site never
        now 5000
        claim  c3  site  bytes 1    -> pending
        release c1                  -> gone
    ",
    );
}
