package api

import "github.com/gin-gonic/gin"

// Routes lists what the server serves.
func (s *Server) Routes() gin.RoutesInfo { return s.router.Routes() }
