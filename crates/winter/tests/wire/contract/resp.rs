//! RESP, command by command, in both versions.

use super::resp;

#[test]
fn the_first_writer_of_a_key_wins() {
    resp(
        "
> CREATE t
+created
> CREATE t
+already created
> PUTNEW t k a
+ok
> PUTNEW t k b
+ok
> GET t k
$1
a
> DELETE t k
+ok
> DELETE t k
+ok
> GET t k
RESP2: $-1
RESP3: _
",
    );
}

#[test]
fn every_command_on_a_table_says_when_it_is_missing() {
    resp(
        "
> GET t k
-MISSINGTABLE missing table
> GETS t k
-MISSINGTABLE missing table
> TTL t k
-MISSINGTABLE missing table
> PUTNEW t k v
-MISSINGTABLE missing table
> ADD t k v
-MISSINGTABLE missing table
> PUT t k v
-MISSINGTABLE missing table
> CAS t k 1 v
-MISSINGTABLE missing table
> DELETE t k
-MISSINGTABLE missing table
> DELETE t k 1
-MISSINGTABLE missing table
> TOUCH t k 1000
-MISSINGTABLE missing table
> COUNT t
-MISSINGTABLE missing table
> SCAN t 0
-MISSINGTABLE missing table
> DESCRIBE t
-MISSINGTABLE missing table
> REVIVE t
-MISSINGTABLE missing table
> DROP t
-MISSINGTABLE missing table
> TABLES
*0
",
    );
}

#[test]
fn a_word_and_a_version_are_an_array() {
    resp(
        "
> CREATE t
+created
> ADD t k one
*2
$5
added
:V1
> ADD t k two
*2
$6
exists
:V1
> PUT t k two
*2
$2
ok
:V2
> GETS t k
*2
:V2
$3
two
> CAS t k V1 three
*2
$8
conflict
:V2
> CAS t k V2 three
*2
$2
ok
:V3
> DELETE t k V2
*2
$8
conflict
:V3
> TOUCH t k 1000 V2
*2
$8
conflict
:V3
> DELETE t k V3
+ok
",
    );
}

#[test]
fn nil_is_the_null_of_the_version() {
    resp(
        "
> CREATE t
+created
> GET t k
RESP2: $-1
RESP3: _
> GETS t k
RESP2: $-1
RESP3: _
> TTL t k
RESP2: $-1
RESP3: _
> CAS t k 1 v
RESP2: $-1
RESP3: _
> DELETE t k 1
RESP2: $-1
RESP3: _
> TOUCH t k 1000
RESP2: $-1
RESP3: _
> TOUCH t k 1000 1
RESP2: $-1
RESP3: _
> CLIENT GETNAME
RESP2: $-1
RESP3: _
",
    );
}

#[test]
fn times_to_live_are_arguments_of_their_own() {
    resp("
> CREATE t
+created
> PUT t k v EXPIRE 3600000
*2
$2
ok
:V1
> TTL t k
:V9
> GET t k
$1
v
> PUTNEW t l v expire 3600000
+ok
> TTL t l
:V10
> TOUCH t k 0
+ok
> TTL t k
+never
> PUT t k v\\x20EXPIRE\\x205
*2
$2
ok
:V2
> GET t k
$10
v EXPIRE 5
> TTL t k
+never
> ADD t k v EXPIRE 0
-ERR invalid expire time '0' in 'add' command; it is milliseconds from 1 to 9007199254740992
> PUT t k v EXPIRE \\x205
-ERR invalid expire time ' 5' in 'put' command; it is milliseconds from 1 to 9007199254740992
> PUT t k v EXPIRE 9007199254740993
-ERR invalid expire time '9007199254740993' in 'put' command; it is milliseconds from 1 to 9007199254740992
> PUT t k v EXPIRE
-ERR syntax error; usage: PUT table key data [EXPIRE ms]
> PUT t k v EX 5
-ERR syntax error; usage: PUT table key data [EXPIRE ms]
> CAS t k V2 w EXPIRE 9007199254740992
*2
$2
ok
:V3
> TTL t k
:V11
");
}

#[test]
fn keys_and_values_are_any_bytes() {
    resp(
        r#"
> CREATE t
+created
> PUT t \x00\r\n\xff\x20 \r\n$3\r\nx\xfe
*2
$2
ok
:V1
> GET t \x00\r\n\xff\x20
$8

$3
x\xfe
> GETS t \x00\r\n\xff\x20
*2
:V1
$8

$3
x\xfe
> SCAN t 0
*2
$1
0
*1
$5
\x00
\xff\x20
> SCAN t 0 PREFIX \x00\r
*2
$1
0
*1
$5
\x00
\xff\x20
> PUT t empty ""
*2
$2
ok
:V2
> GET t empty
$0

> GET t ""
-ERR the key is 0 bytes long, and the least is 1 byte
> CREATE ""
-ERR the table name is 0 bytes long, and the least is 1 byte
> CREATE a\x20b
-ERR a table name is 1 to 128 bytes of UTF-8 with no white space or control characters
> CREATE a\xff
-ERR a table name is 1 to 128 bytes of UTF-8 with no white space or control characters
> CREATE a\x00
-ERR a table name is 1 to 128 bytes of UTF-8 with no white space or control characters
> CREATE größe-☃
+created
"#,
    );
}

#[test]
fn lines_are_arrays_and_fields_are_a_map() {
    resp(
        "
> CREATE t MAXBYTES 1mb ONCE yes
+created
> TABLES
*1
$1
t
> COUNT t
:0
> DESCRIBE t
RESP2: *26
RESP3: %13
$4
name
$1
t
$8
maxbytes
$7
1048576
$10
maxentries
$4
none
$8
maxvalue
$4
none
$3
ttl
$4
none
$4
once
$3
yes
$7
entries
$1
0
$5
bytes
$1
0
$15
allocated_bytes
$V1
V2
$10
operations
$1
0
$10
rejections
$1
0
$8
restarts
$1
0
$6
fenced
$2
no
> HELP GET
*2
$13
GET table key
$29
The data of an entry, or nil.
> REVIVE t
+ok
> DROP t
+dropped
> TABLES
*0
",
    );
}

#[test]
fn a_scan_is_a_cursor_and_keys() {
    resp(
        "
> CREATE t
+created
> SCAN t 0
*2
$1
0
*0
> PUTNEW t a 1
+ok
> SCAN t 0 COUNT 10000
*2
$1
0
*1
$1
a
> SCAN t 0 PREFIX b
*2
$1
0
*0
> SCAN t 0 COUNT 0
-ERR COUNT takes a number from 1 to 10000, not '0'
> SCAN t 0 COUNT 10001
-ERR COUNT takes a number from 1 to 10000, not '10001'
> SCAN t nonsense
-ERR invalid cursor; give 0, then what the last step answered
> SCAN t 18446744073709551616
-ERR invalid cursor; give 0, then what the last step answered
> SCAN t 18446744073709551615
*2
$1
0
*0
",
    );
}

#[test]
fn errors_have_the_prefixes_that_clients_know() {
    resp("
> CREATE once ONCE yes
+created
> PUT once k v
-REFUSED the table is write-once (ONCE yes): PUT, CAS and TOUCH are refused
> CREATE one MAXENTRIES 1
+created
> ADD one a 1
*2
$5
added
:V1
> ADD one b 1
-QUOTA the table's MAXENTRIES is 1; it holds 1 and this write needs 1 more; delete entries or wait until some expire
> GET one
-ERR wrong number of arguments for 'get' command; usage: GET table key
> CREATE t MAXVALUE 1
+created
> PUT t k vv
-ERR the value is 2 bytes long, and the most is 1 bytes
> AUTH secret
-NOPERM no password is set on this server; connect without one
> AUTH default secret
-NOPERM no password is set on this server; connect without one
> HELLO 4
-NOPROTO unsupported protocol version
> HELLO x
-ERR Protocol version is not an integer or out of range
> HELLO 3 JUNK
-ERR syntax error in HELLO option 'JUNK'
> HELLO 3 AUTH a
-ERR syntax error in HELLO option 'AUTH'
> HELLO 3 AUTH default secret
-NOPERM no password is set on this server; connect without one
> NONSENSE
-ERR unknown command 'NONSENSE', with args beginning with:\\x20
> nonsense a\\r\\nb c
-ERR unknown command 'nonsense', with args beginning with: 'a  b' 'c'\\x20
> SET k v
-ERR unknown command 'SET', with args beginning with: 'k' 'v'\\x20
> PING
+PONG
");
}

#[test]
fn what_client_libraries_ask_by_themselves_is_answered() {
    resp(
        "
> PING
+PONG
> ping text
$4
text
> ECHO a\\r\\nb
$4
a
b
> SELECT 0
+OK
> SELECT 1
-ERR DB index is out of range; there is one database, 0
> SELECT x
-ERR invalid DB index
> CLIENT SETNAME me
+OK
> CLIENT GETNAME
$2
me
> client setname \"\"
+OK
> client getname
RESP2: $-1
RESP3: _
> CLIENT SETNAME a\\x20b
-ERR Client names cannot contain spaces, newlines or special characters.
> CLIENT SETINFO LIB-NAME mine
+OK
> CLIENT SETINFO lib-ver 1.0
+OK
> CLIENT SETINFO LIB-COLOUR red
-ERR Unrecognized option 'LIB-COLOUR'
> CLIENT NO-EVICT ON
+OK
> CLIENT NO-TOUCH off
+OK
> CLIENT MAINT_NOTIFICATIONS ON
-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.
> CLIENT TRACKING ON
-ERR unknown subcommand 'TRACKING'. Try CLIENT HELP.
> CLIENT ID x
-ERR wrong number of arguments for 'client|id' command; usage: CLIENT ID
> client setname
-ERR wrong number of arguments for 'client|setname' command; usage: CLIENT SETNAME name
> CLIENT SETINFO LIB-NAME
-ERR wrong number of arguments for 'client|setinfo' command; usage: CLIENT SETINFO LIB-NAME|LIB-VER text
> CLIENT REPLY
-ERR wrong number of arguments for 'client|reply' command; usage: CLIENT REPLY ON|OFF|SKIP
> CLIENT HELP me
-ERR wrong number of arguments for 'client|help' command; usage: CLIENT HELP
> CONFIG GET
-ERR wrong number of arguments for 'config|get' command; usage: CONFIG GET pattern [pattern ...]
> CONFIG HELP me
-ERR wrong number of arguments for 'config|help' command; usage: CONFIG HELP
> CONFIG FLY
-ERR unknown subcommand 'FLY'. Try CONFIG HELP.
> COMMAND COUNT x
-ERR wrong number of arguments for 'command|count' command; usage: COMMAND COUNT
> COMMAND LIST x
-ERR wrong number of arguments for 'command|list' command; usage: COMMAND LIST
> COMMAND FLY
-ERR unknown subcommand 'FLY'. Try COMMAND HELP.
> CONFIG GET save
RESP2: *2
RESP3: %1
$4
save
$0

> CONFIG GET appendonly databases
RESP2: *4
RESP3: %2
$10
appendonly
$2
no
$9
databases
$1
1
> CONFIG GET nothing
RESP2: *0
RESP3: %0
> CONFIG HELP
*1
$32
CONFIG GET pattern [pattern ...]
> COMMAND HELP
*4
$13
COMMAND COUNT
$12
COMMAND LIST
$26
COMMAND INFO [command ...]
$26
COMMAND DOCS [command ...]
> CONFIG SET save x
-ERR settings are fixed at start: give them as flags, environment variables or in the file
> COMMAND COUNT
:29
> COMMAND INFO get nothing
*2
*10
$3
get
:3
RESP2: *1
RESP3: ~1
+readonly
:2
:2
:1
RESP2: *0
RESP3: ~0
*0
*0
*0
RESP2: $-1
RESP3: _
> COMMAND DOCS nothing
RESP2: *0
RESP3: %0
> SUBSCRIBE channel
-ERR unknown command 'SUBSCRIBE', with args beginning with: 'channel'\\x20
> CLUSTER NODES
-ERR This instance has cluster support disabled: it runs alone
> SENTINEL MASTERS
-ERR unknown command 'SENTINEL', with args beginning with: 'MASTERS'\\x20
> QUIT
+OK
(closed)
",
    );
}

#[test]
fn an_empty_command_name_is_unknown() {
    resp(
        "
> \"\"
-ERR unknown command '', with args beginning with:\\x20
> PING
+PONG
> \\r\\n
-ERR unknown command '  ', with args beginning with:\\x20
> PING
+PONG
",
    );
}
