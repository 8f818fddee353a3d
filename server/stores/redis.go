package stores

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// OpenRedis makes a client that notices at once when Redis is away: nothing that
// needs it has no other way.
func OpenRedis(url string, registry prometheus.Registerer) (*redis.Client, error) {
	const patience = 500 * time.Millisecond
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("REDIS_URL is not a Redis URL")
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = patience, patience, patience
	options.MaxRetries, options.DialerRetries = -1, 1
	logging.Disable() // the client's writing to standard error: what matters of it comes back as errors
	client := redis.NewClient(options)
	client.AddHook(observeCommands(registry))
	return client, nil
}
