-- Decides on a batch of demands, one after another, and counts them.
--
-- KEYS     the windows, then the counters, each once
-- ARGV[1]  integers, as a MessagePack array:
--            now in ms, the number of windows
--            of each window   how many ms a part has, how many parts back count
--            of each counter  ms to the period's end
--            of each demand   1 to look only or 0, how many windows, how many counters it has,
--              of its windows   place from 1, max
--              of its counters  place from 1, max, floor, backlog
-- ARGV[2]  and on: the periods of the counters
--
-- Answers of each demand {-2} when one of its counters is not known. Otherwise
-- the index from 0 of the first full window and of the first full counter (-1:
-- none), of each window the count and its oldest part, of each counter the count.
local read = struct.unpack

local terms = cmsgpack.unpack(ARGV[1])
local now, n_windows = terms[1], terms[2]
local at = 2 -- the last of the terms that was read
local stored = #KEYS > 0 and redis.call('MGET', unpack(KEYS)) or {}

-- A window is stored as its parts that have hits, oldest first, each with its
-- hits, and then the sum of all. So a further hit of a part touches the end alone.
local PART, SUM, ENTRY, END = '>I6I4', '>I4', 10, 4
local windows = {}
for w = 1, n_windows do
  local width, reach = terms[at + 1], terms[at + 2]
  at = at + 2
  local part = math.floor(now / width)
  local window = {part = part, hits = 0, count = 0, oldest = part, before = '', life = (reach + 1) * width, place = false, hit = false}
  local value = stored[w]
  if value then
    local first, last = 1, #value - END - ENTRY + 1
    local count = read(SUM, value, last + ENTRY)
    while first <= last do
      local oldest, hits = read(PART, value, first)
      if oldest >= part - reach then
        window.oldest, window.count = oldest, count
        break
      end
      count, first = count - hits, first + ENTRY
    end
    if first <= last then
      local newest, hits = read(PART, value, last)
      if newest >= part then -- later where the caller's clock is behind
        window.part, window.hits = newest, hits
        if first == 1 then window.place = last + ENTRY - 5 end -- of its hits, from 0
        last = last - ENTRY
      end
      if not window.place then window.before = string.sub(value, first, last + ENTRY - 1) end
    end
  end
  windows[w] = window
end

-- A counter is stored as its count and its period. It has no count here while
-- that is not known.
local counters = {}
for c = 1, #KEYS - n_windows do
  at = at + 1
  local counter = {period = ARGV[1 + c], life = terms[at], fresh = true, own = true}
  local value = stored[n_windows + c]
  if value then
    local count, period = string.match(value, '^(%d+) (.*)$')
    if period >= counter.period then
      -- A later one where the caller's clock is behind.
      counter.own, counter.fresh = period == counter.period, false
      counter.period, counter.count = period, tonumber(count)
    end
  end
  counters[c] = counter
end

local answer, n = {}, 0

-- decide takes the demand whose terms come next.
local function decide()
  local look, of_windows, of_counters = terms[at + 1] == 1, terms[at + 2], terms[at + 3]
  local first_window = at + 4
  local first_counter = first_window + 2 * of_windows
  at = first_counter + 4 * of_counters - 1

  local full_window, full_counter = -1, -1
  for i = 0, of_windows - 1 do
    local window, max = windows[terms[first_window + 2 * i]], terms[first_window + 2 * i + 1]
    if max >= 0 and window.count >= max and full_window < 0 then full_window = i end
  end

  local counts = {}
  for i = 0, of_counters - 1 do
    local term = first_counter + 4 * i
    local counter, max, floor, backlog = counters[terms[term]], terms[term + 1], terms[term + 2], terms[term + 3]
    local count = counter.count
    if not count and floor < 0 then
      n = n + 1
      answer[n] = -2
      return
    end
    if not count or counter.own and floor > count then count = floor end
    count = count + backlog
    if max >= 0 and count >= max and full_counter < 0 then full_counter = i end
    counts[i] = count
  end

  answer[n + 1], answer[n + 2] = full_window, full_counter
  n = n + 2
  local passed = not look and full_window < 0
  for i = 0, of_windows - 1 do
    local window = windows[terms[first_window + 2 * i]]
    if passed then
      window.hits, window.count, window.hit = window.hits + 1, window.count + 1, true
    end
    answer[n + 1], answer[n + 2] = window.count, window.oldest
    n = n + 2
  end
  passed = passed and full_counter < 0
  for i = 0, of_counters - 1 do
    local counter = counters[terms[first_counter + 4 * i]]
    if passed then counts[i] = counts[i] + 1 end
    if not look then counter.count, counter.told = counts[i], true end
    n = n + 1
    answer[n] = counts[i]
  end
end
while at < #terms do decide() end

for w, window in ipairs(windows) do
  if window.hit and window.place then
    redis.call('SETRANGE', KEYS[w], window.place, struct.pack('>I4I4', window.hits, window.count))
  elseif window.hit then
    local ending = struct.pack('>I6I4I4', window.part, window.hits, window.count)
    redis.call('SET', KEYS[w], window.before .. ending, 'PX', window.life)
  end
end
for c, counter in ipairs(counters) do
  if counter.told then
    local key, value = KEYS[n_windows + c], string.format('%d %s', counter.count, counter.period)
    if counter.fresh then
      redis.call('SET', key, value, 'PX', counter.life)
    else
      redis.call('SET', key, value, 'KEEPTTL')
    end
  end
end
return answer
