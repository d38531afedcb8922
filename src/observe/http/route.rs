//! What each address of the endpoint answers: pure, from the server's state.

use super::{Role, State};

/// An answer without a body of its own: its status, and a line that says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub text: &'static str,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// An answer from the state alone. It tells nothing that a port scan would not, so it asks for no password: the probes of
    /// Kubernetes and the checks of load balancers have none.
    Probe(Answer),
    /// The metrics, which do tell something.
    Metrics,
}

const INDEX: &str = "Holdfast\n\n/livez     the process answers\n/startupz  the data is loaded\n/readyz    it serves clients\n\
                     /primary   it serves and is a primary\n/replica   it serves, is a replica, and its link is up\n\
                     /metrics   OpenMetrics\n";

const fn ok(text: &'static str) -> Route {
    Route::Probe(Answer { status: 200, text })
}

const fn not(text: &'static str) -> Route {
    Route::Probe(Answer { status: 503, text })
}

/// Why the server does not serve clients, if it does not.
fn unready(state: &State) -> Option<Route> {
    if state.ending {
        return Some(not("ending\n"));
    }
    if state.loading {
        return Some(not("loading\n"));
    }
    None
}

/// Where a path leads.
pub fn route(method: &str, path: &str, state: &State) -> Route {
    if !matches!(method, "GET" | "HEAD") {
        return Route::Probe(Answer { status: 405, text: "only GET and HEAD\n" });
    }
    match path {
        "/" => ok(INDEX),
        // A server that ends by itself, or loads, is alive: to be killed for it would only make it begin again.
        "/livez" | "/healthz" => ok("ok\n"),
        "/startupz" => {
            if state.loading {
                not("loading\n")
            } else {
                ok("ok\n")
            }
        }
        "/readyz" => unready(state).unwrap_or(match state.role {
            Role::Primary | Role::Replica { serves: true, .. } => ok("ok\n"),
            Role::Replica { .. } => not("not synchronised with its primary yet\n"),
        }),
        "/primary" | "/master" => unready(state).unwrap_or(match state.role {
            Role::Primary => ok("primary\n"),
            Role::Replica { .. } => not("replica\n"),
        }),
        "/replica" | "/slave" => unready(state).unwrap_or(match state.role {
            Role::Primary => not("primary\n"),
            Role::Replica { link_up: true, .. } => ok("replica\n"),
            Role::Replica { .. } => not("replica whose link to its primary is down\n"),
        }),
        "/metrics" => Route::Metrics,
        _ => Route::Probe(Answer { status: 404, text: "not found\n" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(path: &str, state: &State) -> u16 {
        match route("GET", path, state) {
            Route::Probe(answer) => answer.status,
            Route::Metrics => 0,
        }
    }

    #[test]
    fn probes_follow_the_state() {
        let primary = State { loading: false, ending: false, role: Role::Primary };
        let cases = [
            (primary, [200, 200, 200, 200, 503]),
            (State { loading: true, ..primary }, [200, 503, 503, 503, 503]),
            (State { ending: true, ..primary }, [200, 200, 503, 503, 503]),
            (State { role: Role::Replica { serves: true, link_up: true }, ..primary }, [200, 200, 200, 503, 200]),
            (State { role: Role::Replica { serves: true, link_up: false }, ..primary }, [200, 200, 200, 503, 503]),
            (State { role: Role::Replica { serves: false, link_up: false }, ..primary }, [200, 200, 503, 503, 503]),
        ];
        for (state, want) in cases {
            let got = ["/livez", "/startupz", "/readyz", "/primary", "/replica"].map(|p| status(p, &state));
            assert_eq!(got, want, "{state:?}");
        }
        assert_eq!(status("/nosuch", &primary), 404);
        assert_eq!(route("GET", "/metrics", &primary), Route::Metrics);
        assert!(matches!(route("POST", "/metrics", &primary), Route::Probe(Answer { status: 405, .. })));
    }
}
