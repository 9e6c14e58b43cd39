#!/bin/sh
# Makes ./secrets for a trial: an authority of its own, certificates for the nodes' admin listeners, for the front and for
# PostgreSQL, and a password. In production the certificate of the front comes from a public authority.
#   sudo deploy/compose/secrets.sh as.example.com
set -eu
cd "$(dirname "$0")"
host=${1:-as.example.com}
umask 077
mkdir secrets && cd secrets
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=writ trial" -keyout ca.key -out admin-ca.crt 2>/dev/null

issue() { # NAME SUBJECT-ALTERNATIVE-NAMES
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  printf 'subjectAltName=%s\n' "$2" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA admin-ca.crt -CAkey ca.key -days 825 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm "$1.csr" "$1.ext"
}
issue admin "DNS:writ1,DNS:writ2,DNS:writ3,DNS:localhost"
issue postgres "DNS:postgres"
issue front "DNS:$host"
cat front.crt front.key >front.pem
openssl rand -hex 24 >postgres-password
printf 'postgres://writ:%s@postgres/writ?sslmode=verify-full&sslrootcert=/run/secrets/admin-ca.crt\n' "$(cat postgres-password)" >database
# Who runs in the containers reads them, and nobody else: 65532 the nodes, 99 HAProxy, 70 PostgreSQL.
if [ "$(id -u)" = 0 ]; then
  chown 65532 database admin.key
  chown 99 front.pem
  chown 70 postgres-password postgres.key
fi
chmod 0400 ./*
chmod 0444 ./*.crt # are public
