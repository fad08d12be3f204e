-- One counter of one limit: takes a pod's report, grants it a lease. README.md beside this file says why it is exact.
--
-- KEYS[1]  the counter: one packed value, so that its slot is the only one touched
-- ARGV     1 now in ms, '' for Redis' own clock (tests hand one in)
--          2 kind: sliding (ages away), fixed (a period of the calendar), slots (requests under way)
--          3 limit
--          4 sliding: length of the window in ms; fixed: end of the period in ms; slots: 0
--          5 pod: id of the process, new at each start
--          6 call: number of this call of this pod to this counter, one more each time; a repeated one is answered again, not done again
--          7 hold: units of its lease the pod has left (slots: those in use too)
--          8 need: units that requests wait for        9 want: units it would like in all, need included
--         10 step: the amount of the first request that waits; short of `need`, whole steps are granted
--         11 lease in ms: how long what is held and granted is the pod's own
--         12 epoch of the state the pod last saw; '' where it knows none
--         13 0; 1 join: takes the call as it is, whatever is known of the pod; 2 known: the pod must be known (its last call
--            was answered within the window)
--         14 keep: 1 where slots in use stay the pod's own even beyond the limit (it could not reach Redis)
--         15 fixed: beginning of the period in ms; else 0
--         16 … pairs of part, amount: what was used since the last call; an amount below zero gives back
--
-- Answers  1 status: OK, LOST (another epoch: tell everything), GAP (calls were lost: repeat those after [5]), OVER (the period ended, or has not begun)
--          2 epoch   3 now   4 units granted; below zero: slots in use that are the pod's no more
--          5 GAP: the last call that is known; else ms until the lease ends
--          6 units left for others   7 ms until `step` more are free, as far as is known   8 ms until nothing is counted
--          9 pods that hold a lease
local kind, limit, span, pod, call = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local hold, need, want, step = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local lease, epoch, join, keep = tonumber(ARGV[11]), ARGV[12], ARGV[13] == '1', ARGV[14] == '1'
local known, start = ARGV[13] == '2', tonumber(ARGV[15])
local sliding, slots = kind == 'sliding', kind == 'slots'
local PARTS = 64
local part = sliding and span / PARTS or 1

local clock
if ARGV[1] == '' then
  local time = redis.call('TIME')
  clock = time[1] * 1000 + math.floor(time[2] / 1000)
else
  clock = tonumber(ARGV[1])
end

-- e epoch · n last moment · o what the clock is put forward by · t sum of parts · b parts · p pods: {c call, o outstanding,
-- x end of lease, g granted, f and k: what was put down as used when the lease ended, and in which part}
local packed = redis.call('GET', KEYS[1])
local s
if packed then
  s = cmsgpack.unpack(packed)
else
  s = { e = pod .. ':' .. clock .. ':' .. call, n = clock, o = 0, t = 0, b = {}, p = {} }
end
-- A clock set back (a failover to another machine) must not make the window longer or shorter: it goes on from where it was.
local now = clock + s.o
if now < s.n then
  if kind ~= 'fixed' then s.o = s.o + s.n - now end
  now = s.n
end
s.n = now

-- How long a pod's last call and what it may not have told are remembered after its lease.
local memory = sliding and span or 60000

local function partOf(ms) return sliding and math.floor(ms / part) or 0 end

local function add(k, amount)
  local old = s.b[k] or 0
  if old + amount < 0 then amount = -old end
  s.t = s.t + amount
  if old + amount == 0 then s.b[k] = nil else s.b[k] = old + amount end
end

-- A lease that nobody renewed counts as used at its last moment, until its pod says better.
for id, p in pairs(s.p) do
  if p.x <= now and p.o > 0 then
    if not slots then
      p.f, p.k = p.o, partOf(p.x)
      add(p.k, p.o)
    end
    p.o = 0
  end
  if p.x + memory <= now then s.p[id] = nil end
end
if sliding then
  for k, amount in pairs(s.b) do
    if (k + 1) * part <= now - span then
      s.t = s.t - amount
      s.b[k] = nil
    end
  end
end

local function others()
  local sum, live = 0, 1
  for id, p in pairs(s.p) do
    if id ~= pod and p.x > now then
      sum = sum + p.o
      live = live + 1
    end
  end
  return sum, live
end

local function resetMs()
  local newest
  for k in pairs(s.b) do if not newest or k > newest then newest = k end end
  if not newest then return 0 end
  if kind == 'fixed' then return math.max(0, span - now) end
  return math.max(0, math.ceil((newest + 1) * part + span - now))
end

-- Until `amount` is free were nothing else to come: parts that age away, then leases that end.
local function waitMs(amount, free)
  if amount <= free then return 0 end
  if slots then return 1000 end
  if kind == 'fixed' then return math.max(1, span - now) end
  local keys = {}
  for k in pairs(s.b) do keys[#keys + 1] = k end
  table.sort(keys)
  for _, k in ipairs(keys) do
    free = free + s.b[k]
    if free >= amount then return math.max(1, math.floor((k + 1) * part + span - now) + 1) end
  end
  return lease
end

local function save()
  local ttl = lease + memory + 1000
  if sliding then ttl = ttl + math.ceil(part) end
  if kind == 'fixed' then ttl = math.max(ttl, span - now + 60000) end
  redis.call('SET', KEYS[1], cmsgpack.pack(s), 'PX', math.ceil(ttl))
end

local function answer(status, granted, fifth)
  local sum, live = others()
  local own = s.p[pod]
  local free = limit - s.t - sum - (own and own.x > now and own.o or 0)
  return { status, s.e, now, granted, fifth, free, waitMs(step, free), resetMs(), live }
end

if kind == 'fixed' and (now >= span or now < start) then return answer('OVER', 0, 0) end

local mine = s.p[pod]
if mine and mine.c == call then
  save()
  return answer('OK', mine.x > now and mine.g or 0, math.max(0, mine.x - now))
end
-- A call of before that was long on its way.
if mine and mine.c > call then return answer('GAP', 0, mine.c) end
if not join then
  if epoch ~= s.e then
    save()
    return answer('LOST', 0, 0)
  end
  if mine and mine.c ~= call - 1 or known and not mine then
    save()
    return answer('GAP', 0, mine and mine.c or 0)
  end
end

-- The pod lives and says itself what it used: what was put down for it goes.
if mine and mine.f then
  add(mine.k, -mine.f)
  mine.f, mine.k = nil, nil
end
local lapsed = not (mine and mine.x > now)
for i = 16, #ARGV, 2 do
  local k, amount = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if not sliding then
    add(0, amount)
  elseif (k + 1) * part > now - span then
    add(k, amount)
  end
end

local sum, live = others()
local free = limit - s.t - sum - hold
local granted = 0
if free > 0 then
  -- What is left is shared, so that no pod sits on what others need; who waits is served all the same.
  granted = math.max(math.min(want, math.floor(free / (4 * live))), need)
  if granted > free then
    granted = free
    if step > 1 and not slots then granted = math.max(0, math.floor((free + hold) / step) * step - hold) end
  end
elseif slots and lapsed and not keep then
  granted = math.max(free, -hold)
end
if kind == 'fixed' then lease = math.min(lease, span - now) end
s.p[pod] = { c = call, o = hold + granted, x = now + lease, g = granted }
save()
return answer('OK', granted, lease)
