package server

import "net/netip"

// Config is everything that can be set. The comment of each field says what it means, its unit and what excludes it, the
// tag default what it is when nothing sets it; docs/config.md is made from both (see Doc).
//
// The zero value is not usable: Default returns the defaults and Load what a command was given.
type Config struct {
	// The URL that clients and APIs know this server by, the "iss" of every token: https, without query, fragment or
	// trailing slash. http is for loopback only. Default: made from listen, when that is on loopback; else required.
	Issuer string `yaml:"issuer"`

	// Address and port of the public listener: the OAuth endpoints and nothing else. Port 0 takes a free one.
	Listen string `yaml:"listen" default:"127.0.0.1:8080"`

	// Certificate and key of the public listener. Required off loopback, unless plain_http_behind is set.
	TLS TLSFiles `yaml:"tls"`

	// Addresses (CIDR) of the proxies that end TLS in front of this server. Only they and this machine may then speak plain
	// HTTP to the public listener; everyone else is refused with 403. They are believed like trusted_proxies. Excludes tls.
	PlainHTTPBehind []netip.Prefix `yaml:"plain_http_behind"`

	// Addresses (CIDR) of proxies whose X-Forwarded-For is believed when the client's address is logged. Everyone else's is
	// ignored. Put a load balancer here that shows its own address too: it may then open more than a quarter of
	// limits.connections.
	TrustedProxies []netip.Prefix `yaml:"trusted_proxies"`

	// The admin listener: the admin API, /healthz and /readyz.
	Admin Admin `yaml:"admin"`

	// The listener that asks for a client certificate (RFC 8705): the OAuth endpoints again, at URLs of their own. Clients find
	// them as mtls_endpoint_aliases in the metadata. There is none unless mtls.listen is set.
	MTLS MTLS `yaml:"mtls"`

	// What every client must do at least. default asks for what each client is registered with. fapi2 is the FAPI 2.0 Security
	// Profile: clients authenticate with a key or a certificate and never with a secret, every token is bound to a key or a
	// certificate, and nothing is signed with RS256. writ config check names what would not pass.
	Profile string `yaml:"profile" default:"default" oneof:"default fapi2"`

	// DPoP proofs at the token endpoint (RFC 9449).
	DPoP DPoP `yaml:"dpop"`

	// Directory for what is kept on this machine: the audit journal, the root key, the operator's credential and the SQLite
	// database. Made with mode 0700 when it is missing.
	Data string `yaml:"data" default:"./writ-data"`

	// Where the registry and the keys are kept: sqlite:FILE, or postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full.
	// Off this machine PostgreSQL must be reached with sslmode=verify-full or verify-ca. Default: sqlite:DATA/writ.db, with
	// DATA for the value of data. Excludes database_file.
	Database string `yaml:"database" secret:"true"`

	// File that holds the value of database, so that its password stands in no configuration and no environment. Others must
	// not be able to read it.
	DatabaseFile string `yaml:"database_file"`

	// Connections to PostgreSQL at once, the one that listens for changes by other nodes included. Nodes times this must stay
	// below max_connections of the database.
	DatabaseConnections int `yaml:"database_connections" default:"16" min:"3" max:"1000"`

	// auto applies pending migrations when the server starts; never refuses to start instead, for a database role that may
	// not change tables: run writ migrate first, with a role that may.
	Migrate string `yaml:"migrate" default:"auto" oneof:"auto never"`

	// File with the root key that seals the signing keys in the database. Made on the very first start, and never again over
	// a database that has keys: keep a copy away from the database's backups. Nodes of one database share it.
	// Default: DATA/root.key.
	RootKey string `yaml:"root_key"`

	// How long tokens live.
	Tokens Tokens `yaml:"tokens"`

	// How long signing keys live.
	Keys Keys `yaml:"keys"`

	// How much one caller, and all of them together, may take.
	Limits Limits `yaml:"limits"`

	// Clients that register themselves (RFC 7591, 7592).
	Registration Registration `yaml:"registration"`

	// How the server stops.
	Shutdown Shutdown `yaml:"shutdown"`

	// What is told to a collector of traces (OpenTelemetry).
	Tracing Tracing `yaml:"tracing"`

	// What is written to standard error. No line ever holds a secret, a token or a query string.
	Log Log `yaml:"log"`
}

// TLSFiles name a certificate and its key.
type TLSFiles struct {
	// PEM file with the certificate and the chain behind it. Certificate and key are read again when they change; a pair
	// that does not fit together is logged, and the old one stays in use.
	Certificate string `yaml:"certificate"`
	// PEM file with the private key of the certificate. Others must not be able to read it.
	Key string `yaml:"key"`
}

// Admin configures the admin listener.
type Admin struct {
	// Address and port of the admin listener. Port 0 takes a free one.
	Listen string `yaml:"listen" default:"127.0.0.1:8081"`
	// What operators reach the admin listener by, and their DPoP proofs must name; of the form of issuer, without a path.
	// Default: made from admin.listen.
	URL string `yaml:"url"`
	// Certificate and key of the admin listener. Required off loopback.
	TLS TLSFiles `yaml:"tls"`
}

// MTLS configures the listener for client certificates.
type MTLS struct {
	// Address and port of the listener. Port 0 takes a free one.
	Listen string `yaml:"listen"`
	// What the URLs of its endpoints begin with, in the metadata and in DPoP proofs; of the form of issuer. Default: made from
	// mtls.listen, when that and the issuer are on loopback; else required.
	URL string `yaml:"url"`
	// Certificate and key of the listener. Required, unless client_cert_from is set.
	TLS TLSFiles `yaml:"tls"`
	// PEM file with the certificates of the authorities that vouch for clients (tls_client_auth). Each of them vouches for any
	// name, so put none here that anybody can get a certificate from. Without it only self-signed certificates that are
	// registered authenticate. Read again when it changes, like client_crl; a new file that cannot be used is logged and the one before
	// stays in use.
	ClientCA string `yaml:"client_ca"`
	// PEM or DER files with revocation lists of these authorities: complete ones, signed by an authority in client_ca. Requires
	// client_ca.
	ClientCRL []string `yaml:"client_crl"`
	// Addresses (CIDR) of the proxies that end TLS in front of this listener and pass on, in the header Client-Cert (RFC 9440),
	// the certificate whose key a client has proved to hold. From them only the header counts, so they must remove one that
	// a client sent. From everyone else it is ignored. Without mtls.tls only they and this machine may then speak plain
	// HTTP to the listener. They are believed like trusted_proxies.
	ClientCertFrom []netip.Prefix `yaml:"client_cert_from"`
}

// DPoP configures DPoP proofs.
type DPoP struct {
	// Whether a proof must hold a nonce of this server, which a client gets with its first refusal: proofs cannot then be made
	// ahead of time. It costs each client a second request every few minutes.
	RequireNonce bool `yaml:"require_nonce" default:"false"`
}

// Tokens configure access tokens.
type Tokens struct {
	// Life of an access token, where neither its resource nor its client says otherwise.
	TTL Duration `yaml:"ttl" default:"5m" min:"1s" max:"24h"`
	// The longest life that a resource or a client may be given. Retired signing keys stay published for as long.
	MaxTTL Duration `yaml:"max_ttl" default:"1h" min:"1s" max:"24h"`
}

// Keys configure the schedule of signing keys: announced, signing, retired, dropped.
type Keys struct {
	// How long a key signs before the next one takes over.
	Lifetime Duration `yaml:"lifetime" default:"30d" min:"1m" max:"400d"`
	// How long a key is published before it signs. Must be longer than APIs keep the key set (300 s), and shorter than
	// lifetime.
	Announce Duration `yaml:"announce" default:"24h" min:"6m" max:"30d"`
}

// Limits bound what callers may take. Above a limit a request is refused; nothing is queued without end.
type Limits struct {
	// Bytes in the body of a request to the public listener.
	Body Size `yaml:"body" default:"64KiB" min:"4KiB" max:"64KiB"`
	// Bytes in all header fields of a request together.
	Header Size `yaml:"header" default:"32KiB" min:"4KiB" max:"1MiB"`
	// Time for the header of a request to arrive.
	HeaderTimeout Duration `yaml:"header_timeout" default:"5s" min:"100ms" max:"5m"`
	// Time for a whole request to arrive.
	BodyTimeout Duration `yaml:"body_timeout" default:"10s" min:"100ms" max:"5m"`
	// Time for an answer to be made and to be taken by the caller.
	WriteTimeout Duration `yaml:"write_timeout" default:"10s" min:"100ms" max:"5m"`
	// How long a connection may stay without a request.
	IdleTimeout Duration `yaml:"idle_timeout" default:"60s" min:"1s" max:"1h"`
	// Connections of a listener at once. When all are taken, the one that has been idle for longest is closed for a new one,
	// and never one with a request. One address (of IPv6 one /64) may have a quarter of them; this machine, plain_http_behind
	// and trusted_proxies may have all.
	Connections int `yaml:"connections" default:"4096" min:"16" max:"1000000"`
	// Requests being answered at once by a listener. Above it the answer is 503 with Retry-After, as it is for tokens whose signatures
	// would come too late whatever this is (docs/operations.md, "Overload"). Bodies on their way take at most in_flight
	// times body of memory together: above that one of more than 4 KiB, or a second one on its connection, gets the same answer.
	InFlight int `yaml:"in_flight" default:"512" min:"1" max:"100000"`
	// Requests a second from one address (of IPv6 one /64) to the public listeners. Above it the answer is 429 with Retry-After.
	// It is a tenth of what one core issues: a host or a NAT with many callers that cache their tokens comes nowhere near. This
	// machine, and plain_http_behind and trusted_proxies where they name no caller, have no limit. 0 is no limit for anybody.
	AddressRate int `yaml:"address_rate" default:"1000" min:"0" max:"1000000"`
	// How many requests an address may make at once, beside address_rate.
	AddressBurst int `yaml:"address_burst" default:"2000" min:"1" max:"1000000"`
	// Tokens a second for one client at one node; above it the answer is 429 with Retry-After. 0, the default, is no limit: no number
	// tells a client that asks before every call, and must not be broken, from one that has gone wild. Set it where the greatest
	// honest demand is known. Only requests that have authenticated count: nobody uses up the share of another.
	ClientRate int `yaml:"client_rate" default:"0" min:"0" max:"1000000"`
	// How many tokens a client may ask for at once, beside client_rate.
	ClientBurst int `yaml:"client_burst" default:"500" min:"1" max:"1000000"`
}

// Registration configures clients that register themselves.
type Registration struct {
	// Whether clients may register themselves at POST /register. Each needs an initial access token, which an operator makes
	// with writ registration token create: nobody registers without one.
	Enabled bool `yaml:"enabled" default:"false"`
	// Requests to it that one address may send a minute, and registrations a minute with one initial access token. Above it the
	// answer is 429 with Retry-After.
	PerMinute int `yaml:"per_minute" default:"60" min:"1" max:"6000"`
	// Whose software statements count (RFC 7591, 2.3): for each an issuer, a space, and the file or the https URL with its keys, a
	// JWK Set. Such as "https://portal.example.com /etc/writ/portal.jwks.json". What a statement says of a client counts more
	// than what the client says.
	SoftwareStatements []string `yaml:"software_statements"`
	// Whether nobody registers without a software statement. Requires software_statements.
	RequireSoftwareStatement bool `yaml:"require_software_statement" default:"false"`
}

// Shutdown configures how the server stops when it is told to.
type Shutdown struct {
	// How long /readyz says no while requests are still taken, so that a load balancer can notice. 2s is right behind one.
	Delay Duration `yaml:"delay" default:"0s" min:"0s" max:"5m"`
	// How long requests that have begun may take to end.
	Drain Duration `yaml:"drain" default:"10s" min:"0s" max:"10m"`
}

// Log configures the log.
type Log struct {
	// The least severe level that is written: debug, info, warn or error.
	Level string `yaml:"level" default:"info" oneof:"debug info warn error"`
	// json, one object a line, or text.
	Format string `yaml:"format" default:"json" oneof:"json text"`
}

// Tracing configures traces.
type Tracing struct {
	// URL of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318, without the path /v1/traces. Nothing is traced
	// without it. Spans hold endpoints, durations, statuses and request IDs: no token, no secret, and nothing that a caller sent.
	Endpoint string `yaml:"endpoint"`
	// Of how many requests one is traced: 1 for all of them.
	Sample int `yaml:"sample" default:"100" min:"1" max:"1000000"`
}
