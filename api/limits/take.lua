-- Decides on a demand and counts it.
--
-- KEYS  the windows, then the counters
-- ARGV  1 to count the hit or 0 to look, the number of windows,
--       of each window   the part that is now, how many parts back count, max, life in ms
--       of each counter  period, max, floor, backlog, ms to the period's end
--
-- Answers {-1} when a counter is not known. Otherwise the index from 0 of the
-- first full window and of the first full counter (-1: none), of each window
-- the count and its oldest part, of each counter the count.
local hit, windows = tonumber(ARGV[1]), tonumber(ARGV[2])
local answer = {-1, -1}
local arg = 2

-- A window is a hash: the newest part with its 'hits', their sum with all that
-- count as 'count', the 'oldest' part that does, and the hits of earlier parts
-- under their numbers. Only the first hit of a part has to add those up.
local standing = {}
for w = 1, windows do
  local key, now, reach, max = KEYS[w], tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
  local stored = redis.call('HMGET', key, 'part', 'hits', 'count', 'oldest')
  local part, hits, count, oldest = tonumber(stored[1]), tonumber(stored[2]), tonumber(stored[3]), tonumber(stored[4])
  local moved = not part or part < now
  if moved then
    count, oldest = 0, now
    if part and part >= now - reach then
      count, oldest = hits, part
      local fields = redis.call('HGETALL', key)
      for i = 1, #fields, 2 do
        local p = tonumber(fields[i])
        if p and p >= now - reach then
          count = count + tonumber(fields[i + 1])
          if p < oldest then oldest = p end
        elseif p and hit == 1 then
          redis.call('HDEL', key, fields[i])
        end
      end
    end
  else
    now = part -- that of the newest hit: the caller's clock may be behind
  end
  if max >= 0 and count >= max and answer[1] < 0 then answer[1] = w - 1 end
  standing[w] = {now = now, part = part, hits = hits, count = count, oldest = oldest, moved = moved, life = ARGV[arg + 4]}
  arg = arg + 4
end

local counters = {}
for c = 1, #KEYS - windows do
  local period, max, floor = ARGV[arg + 1], tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
  local stored = redis.call('HMGET', KEYS[windows + c], 'period', 'count')
  local count, fresh = floor, false
  if stored[1] and stored[1] >= period then
    count = tonumber(stored[2])
    if stored[1] == period and floor > count then count = floor end
    period = stored[1] -- a later one: the caller's clock is behind
  elseif floor < 0 then
    return {-1}
  else
    fresh = true
  end
  count = count + tonumber(ARGV[arg + 4])
  if max >= 0 and count >= max and answer[2] < 0 then answer[2] = c - 1 end
  counters[c] = {period = period, count = count, fresh = fresh, life = ARGV[arg + 5]}
  arg = arg + 5
end

for w, window in ipairs(standing) do
  local key = KEYS[w]
  if hit == 1 and answer[1] < 0 then
    window.count = window.count + 1
    if window.moved then
      if window.oldest == window.now then
        redis.call('DEL', key) -- nothing that was counts any more
      else
        redis.call('HSET', key, window.part, window.hits)
      end
      redis.call('HSET', key, 'part', window.now, 'hits', 1, 'count', window.count, 'oldest', window.oldest)
      redis.call('PEXPIRE', key, window.life)
    else
      redis.call('HSET', key, 'hits', window.hits + 1, 'count', window.count)
    end
  end
  answer[1 + 2 * w], answer[2 + 2 * w] = window.count, window.oldest
end

local passed = hit == 1 and answer[1] < 0 and answer[2] < 0
for c, counter in ipairs(counters) do
  local key = KEYS[windows + c]
  if passed then counter.count = counter.count + 1 end
  if hit == 1 then
    redis.call('HSET', key, 'period', counter.period, 'count', counter.count)
    if counter.fresh then redis.call('PEXPIRE', key, counter.life) end
  end
  answer[2 + 2 * windows + c] = counter.count
end
return answer
