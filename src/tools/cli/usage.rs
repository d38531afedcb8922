//! The text of `--help`.

/// `program` is the name it was called by.
pub fn text(program: &str) -> String {
    format!(
        "{program} {version}

Usage: {program} [OPTIONS] [command [argument ...]]
Without a command it reads commands: with editing, history and hints on a terminal, plainly otherwise.
Without options it looks for the server of this machine: in the environment, in the configuration file, and in the hint
that a running server leaves behind; so it finds the port, the certificate authority and the password by itself.

Server
  -h HOST              host name or address (127.0.0.1)
  -p PORT              port (6379)
  -s SOCKET            path of a Unix socket, instead of host and port
  -u URI               valkey://user:password@host:port/database; valkeys:// for TLS; redis:// and rediss:// are the same
  -t SECONDS           give up connecting after so long; decimals allowed (0: the system's own limit)
  -4, -6               of a name's addresses try IPv4 first, IPv6 first
  -n DATABASE          database number
  -2, -3               speak RESP2, RESP3
  -c                   follow the -MOVED and -ASK redirections of a cluster

Who you are
  -a PASSWORD          password; others may see it in the process list, VALKEYCLI_AUTH in the environment is safer
  --pass PASSWORD      the same
  --user NAME          user name to go with the password
  --askpass            ask for the password on the terminal
  --no-auth-warning    do not warn about a password on the command line

TLS
  --tls                use TLS
  --cacert FILE        certificate authorities to trust (the system's)
  --cacertdir DIR      folder of certificate authorities to trust
  --cert FILE, --key FILE  client certificate and its key
  --sni NAME           name to ask for, and to verify, instead of the host
  --insecure           do not verify the server's certificate
  --tls-ciphers LIST   allowed suites of TLS 1.2, with colons between them
  --tls-ciphersuites LIST  allowed suites of TLS 1.3

Input and output
  -x                   standard input is the command's last argument
  -X TAG               standard input stands in for the argument TAG
  --quoted-input       arguments are quoted strings with escapes
  --raw, --no-raw      print replies as they are, or for people (the choice on a terminal)
  --csv, --json        print replies as CSV, as JSON (JSON speaks RESP3 unless -2 is given)
  --quoted-json        JSON in ASCII: texts with their bytes escaped
  -d TEXT, -D TEXT     with --raw: what stands between elements, and after replies (\\n)
  --show-pushes yes|no print RESP3 push messages (yes on a terminal)
  -r N                 run the command N times (-1: for ever)
  -i SECONDS           pause between them; also between rounds of --scan, --stat, --bigkeys, --memkeys, --hotkeys
  -e                   exit with status 1 when the reply is an error
  --eval FILE KEY ... , ARG ...  run the script in FILE; a comma of its own parts keys from arguments
  --pipe               send standard input, which is commands already encoded, and count the replies
  --pipe-timeout N     with --pipe: seconds to wait for the last reply (30; 0: for ever)

Looking at a server
  --scan               list keys
  --pattern GLOB, --quoted-pattern GLOB, --count N, --type TYPE   for --scan and the three below
  --bigkeys            find the keys with the most elements
  --memkeys            find the keys that take the most memory
  --memkeys-samples N  the same, looking at N elements of each collection
  --hotkeys            find the keys used most often (needs an LFU maxmemory-policy)
  --hotkeys-count N    the same, the N hottest (16)
  --stat               a line of figures every second
  --latency            measure the time of PING, continuously; for one second if the output is not a terminal
  --latency-history    the same, a line every 15 seconds (or -i)
  --latency-dist       the same as a spectrum in colours
  --intrinsic-latency SECONDS  measure this machine, not the server
  --lru-test KEYS      act as a cache of KEYS keys, a fifth of which get four fifths of the accesses

  --verbose            say more
  --help, -h           this text
  --version, -v        the version

Not there yet: --cluster, --functions-rdb, --replica, --ldb, --mptcp.

Environment: VALKEYCLI_AUTH (REDISCLI_AUTH) password, VALKEYCLI_HISTFILE (REDISCLI_HISTFILE) history file,
VALKEYCLI_RCFILE (REDISCLI_RCFILE) preferences, HOLDFAST_CONF configuration file.
",
        version = env!("CARGO_PKG_VERSION")
    )
}
