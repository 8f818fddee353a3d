package api

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

// refuseForSchema tells operators what is wrong, and clients that it is not theirs to mend.
func (s *Server) refuseForSchema(c *gin.Context, err error) *domain.Error {
	s.schema.last.Store(s.now().UnixNano())
	s.log(c, slog.LevelError, "the database's schema is not the one this build needs: run agentidp migrate with this build", err)
	return domain.Refuse(codeInternal, "the server's database is not set up for this; its operator must look. Quote the request id when you report it")
}
