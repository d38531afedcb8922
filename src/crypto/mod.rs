//! The only user of the cryptographic module: provider, self-tests, digests, HMAC, random.
