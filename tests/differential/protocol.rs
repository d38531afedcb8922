//! Bytes that are no command, or one written oddly.

use super::pair::Pair;

const ODD: &[&[u8]] = &[
    b"PING\r\n",
    b"PING\n",
    b"  PING  \r\n",
    b"\r\n\r\nPING\r\n",
    b"\n",
    b"ECHO \"a b\"\r\n",
    b"ECHO 'a b'\r\n",
    b"ECHO 'a\\'b'\r\n",
    b"ECHO \"\\x41\\n\\q\"\r\n",
    b"ECHO \"a\r\n",
    b"ECHO 'a\r\n",
    b"ECHO \"a\"b\r\n",
    b"ECHO 'a'b\r\n",
    b"ECHO a\"b c\"\r\n",
    b"ECHO \"\"\r\n",
    b"foo bar\r\nPING\r\n",
    b"*0\r\nPING\r\n",
    b"*-1\r\nPING\r\n",
    b"*-2147483649\r\nPING\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"*1\n$4\nPING\n",
    b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    b"*abc\r\n",
    b"*\r\n",
    b"*1048577\r\n",
    b"*2147483648\r\n",
    b"*99999999999999999999\r\n",
    b"*1 \r\n$4\r\nPING\r\n",
    b"*+1\r\n$4\r\nPING\r\n",
    b"*01\r\n$4\r\nPING\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n:4\r\nPING\r\n",
    b"*1\r\n+PING\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$abc\r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$99999999999999999999\r\n",
    b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
    b"*2\r\n$4\r\nECHO\r\n$-0\r\n\r\n",
    b"*1\r\n$0\r\n\r\n",
    b"*2\r\n$0\r\n\r\n$1\r\na\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n",
    b"*1\r\n*1\r\n",
    b"*1\r\n$4\r\na\xff\xfeb\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\n\r\nPING\r\n",
    b"Host: a\r\nPING\r\n",
    b"*2\r\n$5\r\nHELLO\r\n$1\r\n9\r\n*1\r\n$4\r\nPING\r\n",
    b"*1\r\n$4\r\nQUIT\r\n*1\r\n$4\r\nPING\r\n",
    b"QUIT\r\nPING\r\n",
    b"*1\r\n$3\r\nfoo\r\n",
    b"*3\r\n$3\r\nfoo\r\n$3\r\nb\r\nr\r\n$2\r\n'x\r\n",
    b"*2\r\n$6\r\nCONFIG\r\n$5\r\nf\r\noo\r\n",
    b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*1\r\n$x\r\n",
];

pub fn try_all(pair: &mut Pair) {
    for (i, bytes) in ODD.iter().enumerate() {
        pair.empty();
        pair.agree_on_bytes(bytes, &format!("protocol {i}"));
    }
    // Lengths at the edges, and words longer than an error shows.
    let long = "x".repeat(300);
    for line in [
        format!("{long}\r\n"),
        format!("foo {long} {long}\r\n"),
        format!("config {long}\r\n"),
        format!("foo {}\r\n", "abc ".repeat(100)),
        format!("*1\r\n${}\r\n{long}\r\n", long.len()),
        format!("*{}\r\n", "1".repeat(70_000)),
        "x".repeat(70_000),
        format!("*1\r\n${}", "1".repeat(70_000)),
    ] {
        pair.agree_on_bytes(line.as_bytes(), "protocol, long");
    }
}
