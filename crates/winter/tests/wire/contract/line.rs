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
> ADD t k d
added V1
> ADD t k e
exists V1
",
    );
}
