package router

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sentryagent/agentidp/domain"
	"github.com/sentryagent/agentidp/internal/pg"
)

// schemaFault remembers when the database last lacked a table, a column or a
// function that this build needs. Trying again does not help, so nobody is told to.
type schemaFault struct{ last atomic.Int64 } // Unix time in nanoseconds; 0: never

// schemaFaultShows is for how long health tells of it.
const schemaFaultShows = 10 * time.Minute

// missesSchema tells whether the database refused a statement because of what
// there is no such thing as in it.
func missesSchema(err error) bool {
	return pg.Is(err, pg.UndefinedTable, pg.UndefinedColumn, pg.UndefinedFunction, pg.UndefinedSchema)
}

func (f *schemaFault) shows(now time.Time) bool {
	last := f.last.Load()
	return last != 0 && now.Sub(time.Unix(0, last)) < schemaFaultShows
}

// LacksSchema reports whether the database lacked something that this build needs
// not long ago.
func (r *Router) LacksSchema() bool { return r.schema.shows(r.options.Now()) }

// refuseForSchema tells operators what is wrong, and clients that it is not theirs to mend.
func (r *Router) refuseForSchema(c *gin.Context, err error) *domain.Error {
	r.schema.last.Store(r.options.Now().UnixNano())
	r.log(c, slog.LevelError, "the database's schema is not the one this build needs: run agentidp migrate with this build", err)
	return domain.Refuse(CodeInternal, "the server's database is not set up for this; its operator must look. Quote the request id when you report it")
}
