package follow

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sentryagent/agentidp/eventstore"
)

// channel is where transactions of core followers announce themselves, as
// "name version position" or "name version position halted".
const channel = "agentidp_projections"

const notify = `SELECT pg_notify('` + channel + `', $1)`

// Announce has a transaction tell all processes, when it commits, where it has
// brought a follower.
func Announce(batch *pgx.Batch, name string, version int, position eventstore.Position) {
	queueAnnouncement(batch, announcement{name: name, version: version, position: position})
}

func queueAnnouncement(batch *pgx.Batch, a announcement) { batch.Queue(notify, a.String()) }

// announcement is the payload of a notification.
type announcement struct {
	name     string
	version  int
	position eventstore.Position
	halted   bool
}

func (a announcement) String() string {
	s := fmt.Sprintf("%s %d %d", a.name, a.version, a.position)
	if a.halted {
		s += " " + halted
	}
	return s
}

func parseAnnouncement(payload string) (a announcement, ok bool) {
	words := strings.Split(payload, " ")
	if len(words) != 3 && (len(words) != 4 || words[3] != halted) {
		return a, false
	}
	version, err := strconv.Atoi(words[1])
	position, positionErr := strconv.ParseUint(words[2], 10, 63)
	if err != nil || positionErr != nil {
		return a, false
	}
	return announcement{name: words[0], version: version, position: eventstore.Position(position), halted: len(words) == 4}, true
}
