package config

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/joho/godotenv"
)

// reader hands out variables one by one and gathers the faults. After a fault it answers a harmless value, so that
// reading goes on and one fault does not bring others with it.
type reader struct {
	values    map[string]string
	faults    Faults
	readsOnly bool // see LoadForReading
}

func newReader(environ []string, dotenvPath string) *reader {
	r := &reader{values: map[string]string{}}
	if dotenvPath != "" {
		r.dotenv(dotenvPath)
	}
	for _, entry := range environ {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.TrimSpace(value) != "" {
			r.values[name] = value
		}
	}
	return r
}

// dotenv never repeats the parser's own message: it quotes the file, and the file holds passwords.
func (r *reader) dotenv(path string) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		r.fault(path, "a file that cannot be read", "readable by this user", "correct its permissions or remove it")
		return
	}
	values, err := godotenv.UnmarshalBytes(text)
	if err != nil {
		r.fault(path, "a line that is not NAME=value", "a list of NAME=value lines", "correct or quote that line")
		return
	}
	r.values = values
}

func (r *reader) fault(variable, found, bound, remedy string) {
	r.faults = append(r.faults, Fault{Variable: variable, Found: found, Bound: bound, Remedy: remedy})
}

func (r *reader) get(name, fallback string) string {
	if value := strings.TrimSpace(r.values[name]); value != "" {
		return value
	}
	return fallback
}

func (r *reader) integer(name string, fallback, least, most int) int {
	text := r.get(name, strconv.Itoa(fallback))
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		r.fault(name, strconv.Quote(text), fmt.Sprintf("a whole number from %d to %d", least, most),
			fmt.Sprintf("leave it unset for %d", fallback))
		return fallback
	}
	return n
}

// oneOf compares without regard to case and answers the spelling given here; the first choice is the default.
func (r *reader) oneOf(name string, choices ...string) string {
	text := r.get(name, choices[0])
	at := slices.IndexFunc(choices, func(c string) bool { return strings.EqualFold(c, text) })
	if at < 0 {
		r.fault(name, strconv.Quote(text), "one of "+strings.Join(choices, ", "), "leave it unset for "+choices[0])
		return choices[0]
	}
	return choices[at]
}

func (r *reader) list(name, fallback string) []string {
	var items []string
	for item := range strings.SplitSeq(r.get(name, fallback), ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func (r *reader) prefixes(name, fallback string) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, item := range r.list(name, fallback) {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			r.fault(name, strconv.Quote(item), "a comma-separated list of CIDR ranges",
				"write one address as 192.0.2.1/32 or 2001:db8::1/128")
			continue
		}
		if prefix = unmapped(prefix); prefix.Addr().Is4In6() {
			r.fault(name, strconv.Quote(item), "a comma-separated list of CIDR ranges",
				"write IPv4 ranges as IPv4: a range of mapped addresses needs a length of 96 or more")
			continue
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes
}

// unmapped is a range of IPv4 addresses in IPv6 form as what it is: a range in
// the other form would contain none of the addresses that are compared with it.
func unmapped(p netip.Prefix) netip.Prefix {
	const mappedBits = 96
	if p.Addr().Is4In6() && p.Bits() >= mappedBits {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mappedBits)
	}
	return p
}

func (r *reader) listenHost(name, fallback string) string {
	host := r.get(name, fallback)
	if strings.ContainsAny(host, "/ []") || (strings.Contains(host, ":") && net.ParseIP(host) == nil) {
		r.fault(name, strconv.Quote(host), "an address or host name without a port",
			"set 127.0.0.1 for this machine alone or 0.0.0.0 for every address; the port has a variable of its own")
		return fallback
	}
	return host
}

// newFile accepts a path where a file is or could be made.
func (r *reader) newFile(name string) string {
	path := r.get(name, "")
	if path == "" {
		r.fault(name, "nothing", "the path of a file", "set it; the file is made at the first start")
		return ""
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		r.fault(name, strconv.Quote(path)+", which is no regular file", "the path of a file", "name a file in that directory")
	}
	return path
}

// fileBeside accepts such a path too; where none is given, that of a file beside another.
func (r *reader) fileBeside(name, other, file string) string {
	if r.get(name, "") == "" {
		if other == "" {
			return "" // a fault already, unless only reading is asked for
		}
		return filepath.Join(filepath.Dir(other), file)
	}
	return r.newFile(name)
}

// verifierKeys accepts keys as C2SP signed-note writes them, with the id that follows from name and key: with another
// one no signature would ever match. Whether they are keys of an algorithm that is known is for whoever uses them to say.
func (r *reader) verifierKeys(name string) []string {
	keys := r.list(name, "")
	for i, key := range keys {
		if strings.Count(key, "+") < 2 || strings.ContainsAny(key, " \t") || slices.Contains(keys[:i], key) {
			r.fault(name, strconv.Quote(key), "verifier keys separated by commas, each once", "write each as name+hash+key (C2SP signed-note)")
			continue
		}
		if id, ok := verifierID(key); !ok {
			r.fault(name, strconv.Quote(key), "verifier keys whose id is that of their name and key (here "+id+")",
				"copy the witness's key again: its name, its id or the key itself is mistyped")
		}
	}
	return keys
}

// verifierID is the id that a verifier key should have, and whether it has it.
func verifierID(key string) (id string, ok bool) {
	name, rest, _ := strings.Cut(key, "+")
	given, text, _ := strings.Cut(rest, "+")
	public, err := base64.StdEncoding.DecodeString(text)
	sum := sha256.Sum256(append([]byte(name+"\n"), public...))
	id = hex.EncodeToString(sum[:4])
	return id, err == nil && len(public) > 0 && name != "" && given == id
}

func (r *reader) directory(name string) string {
	path := r.get(name, "")
	if path == "" {
		return ""
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		r.fault(name, strconv.Quote(path), "a directory that exists", "create it, or leave it unset for what is built in")
	}
	return path
}
