// Package outbound makes the calls that this server makes because somebody named an
// address: the keys of a federation partner, and whatever else is fetched from a URL
// that comes in by the API. Such a URL is an order to a machine inside somebody's
// network, so a [Client] obeys few of them.
//
// # What it guards
//
//   - https alone, with the certificate checked against the system's roots. SSL_CERT_FILE
//     and SSL_CERT_DIR name others, as they do for every Go program.
//   - No address that is not on the public internet: loopback, private, link-local, shared
//     (CGNAT) and unique local ones, those of cloud metadata, multicast, documentation, and
//     every form that hides one of them (IPv4-mapped, NAT64, 6to4, Teredo). The address is
//     checked that the connection is really made to, after the name was resolved, so a name
//     that resolves to another address the second time gains nothing. Ranges that the
//     operator opens ([Options.Allow]) are the only exception.
//   - No redirect is followed, and no proxy is used, whatever the environment says.
//   - Five seconds for all of it, resolving the name included, and one mebibyte of body.
//     Nothing is decompressed.
//
// Every call makes a connection of its own and sends nothing that is ours: no cookie, no
// credential.
package outbound
