//! The line dialect, command by command.

use super::line;

#[test]
fn the_first_writer_of_a_key_wins() {
    line(
        "
> CREATE t
created
> CREATE t
already created
> PUTNEW t k   a  b
ok
> PUTNEW t k c
ok
> GET t k
  a  b
> DELETE t k
ok
> DELETE t k
ok
> GET t k
nil
> PUTNEW t k c
ok
> GET t k
c
",
    );
}

#[test]
fn what_is_no_command_is_named() {
    line(
        r"
> FETCH t k
unrecognized command FETCH
> fetch
unrecognized command fetch
> SET t k
unrecognized command SET
> g\tt t k
unrecognized command g t
> GET\tt
unrecognized command GET t
> HELLO 3
unrecognized command HELLO
> CLIENT ID
unrecognized command CLIENT
> COMMAND
unrecognized command COMMAND
> CONFIG GET *
unrecognized command CONFIG
> SELECT 0
unrecognized command SELECT
> ECHO x
unrecognized command ECHO
> RESET
unrecognized command RESET
> GET|SET t
unrecognized command GET|SET
",
    );
}

#[test]
fn every_command_on_a_table_says_when_it_is_missing() {
    line(
        "
> GET t k
missing table
> GETS t k
missing table
> TTL t k
missing table
> PUTNEW t k v
missing table
> ADD t k v
missing table
> PUT t k v
missing table
> CAS t k 1 v
missing table
> DELETE t k
missing table
> DELETE t k 1
missing table
> TOUCH t k 1000
missing table
> COUNT t
missing table
> SCAN t 0
missing table
> DESCRIBE t
missing table
> REVIVE t
missing table
> DROP t
missing table
> TABLES
0
",
    );
}

#[test]
fn add_says_who_won() {
    line(
        "
> CREATE t
created
> ADD t k one
added V1
> ADD t k two
exists V1
> PUTNEW t k three
ok
> GETS t k
V1 one
> DELETE t k
ok
> ADD t k four
added V2
> ADD t k five
exists V2
> GETS t k
V2 four
",
    );
}

#[test]
fn put_overwrites() {
    line(
        "
> CREATE t
created
> PUT t k one
ok V1
> GETS t k
V1 one
> PUT t k two
ok V2
> GETS t k
V2 two
> ADD t k three
exists V2
> GETS t l
nil
",
    );
}

#[test]
fn put_replaces_the_time_to_live() {
    line(
        "
> CREATE t
created
> CREATE short TTL 3600000
created
> PUT t k one EXPIRE 3600000
ok V1
> TTL t k
V10
> PUT t k two
ok V2
> TTL t k
never
> PUT short k one
ok V3
> TTL short k
V11
> TOUCH short k 0
ok
> TTL short k
never
> PUT short k two
ok V4
> TTL short k
V12
",
    );
}

#[test]
fn putnew_leaves_the_time_to_live_as_it_is() {
    line(
        "
> CREATE t
created
> PUTNEW t k one
ok
> PUTNEW t k two EXPIRE 1
ok
> ADD t k three EXPIRE 1
exists V1
> TTL t k
never
> GET t k
one
",
    );
}

#[test]
fn cas_writes_only_at_the_version_that_stands() {
    line(
        "
> CREATE t
created
> CAS t k 0 one
nil
> PUT t k one
ok V1
> CAS t k V1 two words EXPIRE 3600000
ok V2
> TTL t k
V10
> CAS t k V1 three
conflict V2
> CAS t k 0 three
conflict V2
> CAS t k 18446744073709551615 three
conflict V2
> GETS t k
V2 two words
> CAS t k V2 three
ok V3
> TTL t k
never
> DELETE t k
ok
> CAS t k V3 four
nil
> GET t k
nil
",
    );
}

#[test]
fn delete_with_a_version_takes_only_what_stands() {
    line(
        "
> CREATE t
created
> DELETE t k 7
nil
> PUT t k one
ok V1
> DELETE t k 7
conflict V1
> PUT t k two
ok V2
> DELETE t k V1
conflict V2
> GET t k
two
> DELETE t k V2
ok
> DELETE t k V2
nil
> DELETE t k
ok
> COUNT t
0
",
    );
}

#[test]
fn touch_gives_a_new_time_to_live_and_keeps_the_rest() {
    line(
        "
> CREATE t
created
> TOUCH t k 1000
nil
> TOUCH t k 1000 1
nil
> PUT t k one
ok V1
> TTL t k
never
> TOUCH t k 3600000
ok
> TTL t k
V10
> TOUCH t k 0
ok
> TTL t k
never
> TOUCH t k 3600000 1
conflict V1
> TTL t k
never
> TOUCH t k 3600000 V1
ok
> TTL t k
V11
> TOUCH t k 0 V1
ok
> GETS t k
V1 one
> TTL t k
never
> TTL t other
nil
",
    );
}

#[test]
fn a_lease_is_taken_renewed_and_released_by_its_version() {
    line(
        "
> CREATE locks
created
> ADD locks printer anna EXPIRE 30000
added V1
> ADD locks printer ben EXPIRE 30000
exists V1
> TOUCH locks printer 60000 V1
ok
> DELETE locks printer V1
ok
> ADD locks printer ben EXPIRE 30000
added V2
> TOUCH locks printer 30000 V1
conflict V2
> DELETE locks printer V1
conflict V2
> DELETE locks printer V2
ok
> TOUCH locks printer 30000 V2
nil
",
    );
}

#[test]
fn count_and_scan_see_what_stands() {
    line(
        "
> CREATE t
created
> COUNT t
0
> SCAN t 0
1
0
> PUT t user:1 a
ok V1
> PUT t dog:1 b
ok V2
> COUNT t
2
> SCAN t 0 PREFIX user:
2
0
user:1
> SCAN t 0 count 1000 prefix dog
2
0
dog:1
> SCAN t 0 PREFIX cat
1
0
> DELETE t user:1
ok
> COUNT t
1
> SCAN t 0
2
0
dog:1
> SCAN t x
error usage: invalid cursor; give 0, then what the last step answered
> SCAN t -1
error usage: invalid cursor; give 0, then what the last step answered
> SCAN t 18446744073709551616
error usage: invalid cursor; give 0, then what the last step answered
> SCAN t 0 COUNT
error usage: syntax error; usage: SCAN table cursor [PREFIX p] [COUNT n]
> SCAN t 0 LIMIT 7
error usage: syntax error; usage: SCAN table cursor [PREFIX p] [COUNT n]
",
    );
}

#[test]
fn create_takes_options_and_describe_shows_them() {
    line(
        "
> CREATE t maxbytes 1mb MaxEntries 10 MAXVALUE 2kb TTL 60000 ONCE no
created
> DESCRIBE t
13
name t
maxbytes 1048576
maxentries 10
maxvalue 2048
ttl 60000
once no
entries 0
bytes 0
allocated_bytes V1
operations 0
rejections 0
restarts 0
fenced no
> CREATE t ONCE yes
already created
> CREATE plain
created
> ADD plain k v
added V2
> GET plain k
v
> DESCRIBE plain
13
name plain
maxbytes none
maxentries none
maxvalue none
ttl none
once no
entries 1
bytes V3
allocated_bytes V4
operations 2
rejections 0
restarts 0
fenced no
> REVIVE plain
ok
> TABLES
2
plain
t
",
    );
}

#[test]
fn a_bad_option_of_create_is_named_and_creates_nothing() {
    line("
> CREATE t COLOUR red
error usage: unknown option 'COLOUR'; the options are MAXBYTES, MAXENTRIES, MAXVALUE, TTL, ONCE
> CREATE t TTL
error usage: option 'TTL' needs a value
> CREATE t TTL 0
error limit: invalid expire time '0' in 'create' command; it is milliseconds from 1 to 9007199254740992
> CREATE t MAXBYTES 0
error usage: option MAXBYTES takes a number above 0 (sizes may end in kb, mb or gb), not '0'
> CREATE t MAXBYTES 10GG
error usage: option MAXBYTES takes a number above 0 (sizes may end in kb, mb or gb), not '10GG'
> CREATE t MAXENTRIES 1kb
error usage: option MAXENTRIES takes a number above 0 (sizes may end in kb, mb or gb), not '1kb'
> CREATE t MAXVALUE -1
error usage: option MAXVALUE takes a number above 0 (sizes may end in kb, mb or gb), not '-1'
> CREATE t ONCE maybe
error usage: option ONCE takes yes or no, not 'maybe'
> TABLES
0
");
}

#[test]
fn a_write_once_table_refuses_what_would_change_an_entry() {
    line(
        "
> CREATE t ONCE yes
created
> ADD t k one
added V1
> PUT t k two
error refused: the table is write-once (ONCE yes): PUT, CAS and TOUCH are refused
> PUT t new two
error refused: the table is write-once (ONCE yes): PUT, CAS and TOUCH are refused
> CAS t k V1 two
error refused: the table is write-once (ONCE yes): PUT, CAS and TOUCH are refused
> TOUCH t k 1000
error refused: the table is write-once (ONCE yes): PUT, CAS and TOUCH are refused
> PUTNEW t k two
ok
> GETS t k
V1 one
> DELETE t k V1
ok
> PUTNEW t k three
ok
> GET t k
three
",
    );
}

#[test]
fn a_table_at_its_quota_refuses_writes_and_nothing_else() {
    line("
> CREATE t MAXENTRIES 2
created
> ADD t a 1
added V1
> ADD t b 1
added V2
> ADD t c 1
error quota: the table's MAXENTRIES is 2; it holds 2 and this write needs 1 more; delete entries or wait until some expire
> PUTNEW t c 1
error quota: the table's MAXENTRIES is 2; it holds 2 and this write needs 1 more; delete entries or wait until some expire
> GET t c
nil
> ADD t a 2
exists V1
> PUT t a 2
ok V3
> TOUCH t a 1000
ok
> DELETE t b
ok
> ADD t c 1
added V4
> COUNT t
2
");
}

#[test]
fn a_dropped_table_takes_everything_with_it() {
    line(
        "
> CREATE t MAXENTRIES 1
created
> PUT t k v
ok V1
> DROP t
dropped
> DROP t
missing table
> GET t k
missing table
> TABLES
0
> CREATE t
created
> GET t k
nil
> COUNT t
0
> PUT t k v
ok V2
> PUT t l v
ok V3
> DROP t
dropped
",
    );
}

#[test]
fn names_may_be_in_any_case_and_tables_and_keys_may_not() {
    line(
        "
> create t
created
> Add t k v
added V1
> gEtS t k
V1 v
> put t k v ExPiRe 1000
ok V2
> GET T k
missing table
> GET t K
nil
> ping
pong
> quit
bye
(closed)
",
    );
}

#[test]
fn words_are_apart_by_one_space_each() {
    line(
        r"
> CREATE t
created
> CREATE\x20
error limit: the table name is 0 bytes long, and the least is 1 byte
> CREATE  t
error usage: option 't' needs a value
>  GET t k
unrecognized command 
> GET  t k
error usage: wrong number of arguments for 'get' command; usage: GET table key
> GET t  k
error usage: wrong number of arguments for 'get' command; usage: GET table key
> GET t k\x20
error usage: wrong number of arguments for 'get' command; usage: GET table key
> GET t\x20
error limit: the key is 0 bytes long, and the least is 1 byte
> PUT t  v
error limit: the key is 0 bytes long, and the least is 1 byte
> DELETE t\x20
error limit: the key is 0 bytes long, and the least is 1 byte
",
    );
}

#[test]
fn too_few_or_too_many_words_show_the_right_ones() {
    line("
> GET
error usage: wrong number of arguments for 'get' command; usage: GET table key
> GET t
error usage: wrong number of arguments for 'get' command; usage: GET table key
> GETS t k v
error usage: wrong number of arguments for 'gets' command; usage: GETS table key
> PUTNEW t k
error usage: wrong number of arguments for 'putnew' command; usage: PUTNEW table key data [EXPIRE ms]
> ADD t k
error usage: wrong number of arguments for 'add' command; usage: ADD table key data [EXPIRE ms]
> PUT t k
error usage: wrong number of arguments for 'put' command; usage: PUT table key data [EXPIRE ms]
> CAS t k 1
error usage: wrong number of arguments for 'cas' command; usage: CAS table key version data [EXPIRE ms]
> DELETE t k 1 2
error usage: wrong number of arguments for 'delete' command; usage: DELETE table key [version]
> TOUCH t k
error usage: wrong number of arguments for 'touch' command; usage: TOUCH table key ms [version]
> TTL t
error usage: wrong number of arguments for 'ttl' command; usage: TTL table key
> COUNT
error usage: wrong number of arguments for 'count' command; usage: COUNT table
> SCAN t
error usage: wrong number of arguments for 'scan' command; usage: SCAN table cursor [PREFIX p] [COUNT n]
> DROP
error usage: wrong number of arguments for 'drop' command; usage: DROP table
> DROP t t
error usage: wrong number of arguments for 'drop' command; usage: DROP table
> DESCRIBE
error usage: wrong number of arguments for 'describe' command; usage: DESCRIBE table
> REVIVE
error usage: wrong number of arguments for 'revive' command; usage: REVIVE table
> TABLES t
error usage: wrong number of arguments for 'tables' command; usage: TABLES
> HELP a b
error usage: wrong number of arguments for 'help' command; usage: HELP [command]
> QUIT now
error usage: wrong number of arguments for 'quit' command; usage: QUIT
> AUTH
error usage: wrong number of arguments for 'auth' command; usage: AUTH [user] password
> CREATE
error usage: wrong number of arguments for 'create' command; usage: CREATE table [MAXBYTES n] [MAXENTRIES n] [MAXVALUE n] [TTL ms] [ONCE yes]
");
}

#[test]
fn blank_lines_are_ignored_and_lines_may_end_in_cr_lf() {
    line(
        r"
> \n\r\n\nCREATE t\r
created
> PUT t k one\r
ok V1
> \r\nGET t k
one
> PUT t k \r\r
ok V2
> PING a\n\n\r\n
a
",
    );
}

#[test]
fn data_is_stored_byte_for_byte() {
    line(
        r"
> CREATE t
created
> PUT t k\x20
ok V1
> GET t k

> GETS t k
V1\x20
> PUT t k  \t x \x00\xff\xfe\x20
ok V2
> GET t k
 \t x \x00\xff\xfe\x20
> PUT t \xff\x00\t binary key
ok V3
> GET t \xff\x00\t
binary key
> CAS t k V2  leading
ok V4
> GET t k
 leading
> ADD t größe-☃ ☃
added V5
> GET t größe-☃
☃
",
    );
}

#[test]
fn a_trailing_expire_is_an_option_when_a_number_follows() {
    line(
        r"
> CREATE t
created
> PUT t k it does not expire today
ok V1
> TTL t k
never
> GET t k
it does not expire today
> PUT t k a b EXPIRE 3600000
ok V2
> GET t k
a b
> TTL t k
V9
> PUT t k v EXPIRE 1 EXPIRE 3600000
ok V3
> GET t k
v EXPIRE 1
> PUT t k EXPIRE 3600000
ok V4
> GET t k
EXPIRE 3600000
> TTL t k
never
> PUT t k  EXPIRE 3600000
ok V5
> GET t k

> PUT t k vEXPIRE 3600000
ok V6
> GET t k
vEXPIRE 3600000
> PUT t k v expire 3600000
ok V7
> GET t k
v
> PUT t k v EXPIRE
ok V8
> GET t k
v EXPIRE
> PUT t k v EXPIRE soon
ok V10
> TTL t k
never
> PUT t k v EXPIRE  5
ok V11
> GET t k
v EXPIRE  5
> TTL t k
never
",
    );
}

#[test]
fn an_expire_with_a_number_that_will_not_do_is_refused_and_writes_nothing() {
    line("
> CREATE t
created
> PUT t k v EXPIRE 0
error limit: invalid expire time '0' in 'put' command; it is milliseconds from 1 to 9007199254740992
> PUT t k v EXPIRE -1
error limit: invalid expire time '-1' in 'put' command; it is milliseconds from 1 to 9007199254740992
> ADD t k v EXPIRE +1
error limit: invalid expire time '+1' in 'add' command; it is milliseconds from 1 to 9007199254740992
> PUTNEW t k v EXPIRE 1e9
error limit: invalid expire time '1e9' in 'putnew' command; it is milliseconds from 1 to 9007199254740992
> PUT t k v EXPIRE 9007199254740993
error limit: invalid expire time '9007199254740993' in 'put' command; it is milliseconds from 1 to 9007199254740992
> PUT t k v EXPIRE 9223372036854775807
error limit: invalid expire time '9223372036854775807' in 'put' command; it is milliseconds from 1 to 9007199254740992
> TOUCH t k -1
error limit: invalid expire time '-1' in 'touch' command; it is milliseconds from 1 to 9007199254740992
> TOUCH t k soon
error limit: invalid expire time 'soon' in 'touch' command; it is milliseconds from 1 to 9007199254740992
> TOUCH t k 9007199254740993
error limit: invalid expire time '9007199254740993' in 'touch' command; it is milliseconds from 1 to 9007199254740992
> GET t k
nil
> CAS t k 1 v EXPIRE 9007199254740992
nil
> PUT t k v EXPIRE 9007199254740992
ok V1
> TTL t k
V2
> TOUCH t k 9007199254740992
ok
");
}

#[test]
fn a_version_is_a_number_of_64_bits() {
    line("
> CREATE t
created
> CAS t k first v
error usage: version 'first' is not a number from 0 to 18446744073709551615; usage: CAS table key version data [EXPIRE ms]
> CAS t k 18446744073709551616 v
error usage: version '18446744073709551616' is not a number from 0 to 18446744073709551615; usage: CAS table key version data [EXPIRE ms]
> CAS t k -1 v
error usage: version '-1' is not a number from 0 to 18446744073709551615; usage: CAS table key version data [EXPIRE ms]
> DELETE t k x
error usage: version 'x' is not a number from 0 to 18446744073709551615; usage: DELETE table key [version]
> TOUCH t k 5 x
error usage: version 'x' is not a number from 0 to 18446744073709551615; usage: TOUCH table key ms [version]
> CAS t k 18446744073709551615 v
nil
");
}

#[test]
fn the_server_answers_for_itself() {
    line(
        "
> PING
pong
> PING  are  you there
 are  you there
> HELP GET
2
GET table key
The data of an entry, or nil.
> help cas
2
CAS table key version data [EXPIRE ms]
Write an entry only if it still stands at this version.
> HELP HELLO
error usage: there is no command 'HELLO'; HELP lists them all
> AUTH secret
error denied: no password is set on this server; connect without one
> AUTH anna secret
error denied: no password is set on this server; connect without one
> CLUSTER
error usage: This instance has cluster support disabled: it runs alone
> PING
pong
> QUIT
bye
(closed)
",
    );
}
